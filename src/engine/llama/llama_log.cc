#include "engine/llama/llama_log.h"

#include <llama.h>

#include <mutex>
#include <string_view>

#include "base/log.h"

namespace mooncake::engine::llama {
namespace {

thread_local std::string* captured_line = nullptr;

void on_log(ggml_log_level level, const char* text, void*) {
  std::string_view line(text);
  while (!line.empty() && line.back() == '\n') line.remove_suffix(1);
  if (line.empty() || level == GGML_LOG_LEVEL_CONT) return;  // continuations are progress dots
  if (level == GGML_LOG_LEVEL_ERROR && captured_line != nullptr && captured_line->empty()) *captured_line = line;
  log_debug("llama.cpp: {}", line);
}

}  // namespace

void start_library() {
  static std::once_flag once;
  std::call_once(once, [] {
    llama_log_set(on_log, nullptr);
    llama_backend_init();
  });
}

ErrorCapture::ErrorCapture() : outer_(captured_line) { captured_line = &first_line_; }
ErrorCapture::~ErrorCapture() { captured_line = outer_; }
std::string ErrorCapture::reason() const { return first_line_.empty() ? "no reason given" : first_line_; }

}  // namespace mooncake::engine::llama
