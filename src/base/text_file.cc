#include "base/text_file.h"

#include <fmt/core.h>

#include <fstream>

namespace mooncake {

Result<std::string> read_text_file(const std::string& path, std::size_t bytes_max, std::string_view what) {
  std::ifstream file(path, std::ios::binary);
  std::string text(bytes_max + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (!file.eof() && (file.gcount() == 0 || file.bad())) {
    return Status(Code::kNotFound, fmt::format("the {} {} cannot be read", what, path));
  }
  text.resize(static_cast<std::size_t>(file.gcount()));
  if (text.size() > bytes_max) {
    return Status(Code::kInvalidArgument, fmt::format("{} is longer than {} bytes: no {}", path, bytes_max, what));
  }
  return text;
}

}  // namespace mooncake
