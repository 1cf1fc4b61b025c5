// UTF-8, checked and cut at character borders (RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF).
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace mooncake {

/// Where `text` stops being UTF-8: the index of the first byte of the first bad sequence, or nothing.
std::optional<std::size_t> find_invalid_utf8(std::string_view text);

/// Joins pieces of bytes into text that never ends inside a character: an incomplete sequence waits for the next piece.
/// Bytes that no character can begin with or go on with become U+FFFD, one per maximal subpart (Unicode 15, 3.9).
/// Thread-compatible.
class Utf8Joiner {
 public:
  /// The whole characters that are known now. May be empty.
  std::string push(std::string_view piece);
  /// What is left at the end: empty, or U+FFFD for a character that was never completed.
  std::string finish();

 private:
  std::string waiting_;  ///< at most 3 bytes between calls
};

}  // namespace mooncake
