#include "engine/llama/chat_template.h"

namespace mooncake::engine::llama {

std::optional<std::string> default_system_message(std::string_view chat_template) {
  static constexpr std::string_view kEnd = "<|im_end|>";
  // Jinja literals have the line break as it is, or escaped.
  for (const std::string_view begin : {"<|im_start|>system\n", "<|im_start|>system\\n"}) {
    for (std::size_t at = chat_template.find(begin); at != std::string_view::npos;
         at = chat_template.find(begin, at + 1)) {
      const std::string_view rest = chat_template.substr(at + begin.size());
      const std::size_t end = rest.find(kEnd);
      if (end == std::string_view::npos || end == 0) continue;
      const std::string_view literal = rest.substr(0, end);
      // A quote or a brace before the end: the message is an expression, not a literal.
      if (literal.find_first_of("'\"{}") == std::string_view::npos) return std::string(literal);
    }
  }
  return std::nullopt;
}

}  // namespace mooncake::engine::llama
