#include "cli/sse_reader.h"

#include <utility>

namespace mooncake::cli {

std::vector<std::string> SseReader::add(std::string_view piece) {
  std::vector<std::string> events;
  for (const char c : piece) {
    if (c != '\n') {
      line_.push_back(c);
      continue;
    }
    if (line_.ends_with('\r')) line_.pop_back();
    if (line_.empty() && !data_.empty()) events.push_back(std::exchange(data_, {}));
    if (line_.starts_with("data:")) {
      if (!data_.empty()) data_.push_back('\n');
      data_ += line_.substr(line_.starts_with("data: ") ? 6 : 5);
    }
    line_.clear();
  }
  return events;
}

}  // namespace mooncake::cli
