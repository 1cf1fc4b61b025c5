// What llama.cpp and ggml print: to our log at debug, and their errors also to whoever is asking why a load failed.
#pragma once

#include <string>

namespace mooncake::engine::llama {

/// Starts the library once a process: its backends, and its log's way into ours. Thread-safe; cheap when repeated.
void start_library();

/// Collects the library's error lines that this thread causes while it lives. The innermost one gets them.
class ErrorCapture {
 public:
  ErrorCapture();
  ~ErrorCapture();
  ErrorCapture(const ErrorCapture&) = delete;
  ErrorCapture& operator=(const ErrorCapture&) = delete;

  /// The first error line, which is the one nearest to the cause; or "no reason given".
  [[nodiscard]] std::string reason() const;

 private:
  std::string first_line_;
  std::string* outer_;
};

}  // namespace mooncake::engine::llama
