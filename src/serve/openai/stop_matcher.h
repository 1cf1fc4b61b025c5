// StopMatcher: ends an answer before the first stop string, also when that string is spread over several tokens.
//
// Text that could be the beginning of a stop string is held back until it is known not to be. Of several stop strings
// the one that is completed first counts, so the result does not depend on how the text was cut into pieces.
// Thread-compatible.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace mooncake::serve::openai {

class StopMatcher {
 public:
  /// No stop string may be empty.
  explicit StopMatcher(std::vector<std::string> stops);

  /// The text that may be shown now. Nothing more comes after a stop string was found.
  std::string push(std::string_view piece);
  /// What was held back, at the end of an answer that no stop string ended.
  std::string finish();
  /// True once a stop string was found.
  [[nodiscard]] bool stopped() const { return stopped_; }

 private:
  [[nodiscard]] std::size_t held_bytes() const;

  std::vector<std::string> stops_;
  std::string held_;
  bool stopped_ = false;
};

}  // namespace mooncake::serve::openai
