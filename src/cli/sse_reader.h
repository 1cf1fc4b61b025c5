// SseReader: takes a stream of server-sent events apart, whatever pieces it arrives in. Pure.
// Source: WHATWG HTML, section "Server-sent events"; of its fields only `data` is used by the OpenAI protocol.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace mooncake::cli {

class SseReader {
 public:
  /// Takes the next piece. @return the data of every event that it completed, in order ("[DONE]" included).
  std::vector<std::string> add(std::string_view piece);

 private:
  std::string line_;  ///< begun, not ended
  std::string data_;  ///< of the event that is not complete
};

}  // namespace mooncake::cli
