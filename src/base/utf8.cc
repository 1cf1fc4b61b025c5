#include "base/utf8.h"

#include <cstdint>

namespace mooncake {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

enum class Verdict : std::uint8_t { kWhole, kIncomplete, kBad };
struct Sequence {
  Verdict verdict = Verdict::kBad;
  std::size_t bytes = 1;  ///< kWhole: of the character. kBad: of the maximal subpart. kIncomplete: all that is there
};

struct Lead {
  std::size_t length = 0;  ///< 0: no character begins with this byte
  std::uint8_t second_min = 0x80;
  std::uint8_t second_max = 0xBF;
};

// Unicode 15, table 3-7: the second byte's range excludes overlong forms, surrogates and what is above U+10FFFF.
Lead lead_of(std::uint8_t byte) {
  if (byte < 0x80) return {1};
  if (byte < 0xC2) return {0};
  if (byte < 0xE0) return {2};
  if (byte < 0xF0) {
    return {3, static_cast<std::uint8_t>(byte == 0xE0 ? 0xA0 : 0x80),
            static_cast<std::uint8_t>(byte == 0xED ? 0x9F : 0xBF)};
  }
  if (byte < 0xF5) {
    return {4, static_cast<std::uint8_t>(byte == 0xF0 ? 0x90 : 0x80),
            static_cast<std::uint8_t>(byte == 0xF4 ? 0x8F : 0xBF)};
  }
  return {0};
}

Sequence sequence_at(std::string_view text) {
  const auto byte = [text](std::size_t i) { return static_cast<std::uint8_t>(text[i]); };
  const Lead lead = lead_of(byte(0));
  if (lead.length == 0) return {Verdict::kBad, 1};
  for (std::size_t i = 1; i < lead.length; ++i) {
    if (i == text.size()) return {Verdict::kIncomplete, i};
    const std::uint8_t low = i == 1 ? lead.second_min : 0x80;
    const std::uint8_t high = i == 1 ? lead.second_max : 0xBF;
    if (byte(i) < low || byte(i) > high) return {Verdict::kBad, i};
  }
  return {Verdict::kWhole, lead.length};
}

}  // namespace

std::optional<std::size_t> find_invalid_utf8(std::string_view text) {
  for (std::size_t i = 0; i < text.size();) {
    if (static_cast<std::uint8_t>(text[i]) < 0x80) {
      ++i;
      continue;
    }
    const Sequence sequence = sequence_at(text.substr(i));
    if (sequence.verdict != Verdict::kWhole) return i;
    i += sequence.bytes;
  }
  return std::nullopt;
}

std::string Utf8Joiner::push(std::string_view piece) {
  waiting_.append(piece);
  std::string text;
  std::size_t i = 0;
  while (i < waiting_.size()) {
    const std::string_view rest = std::string_view(waiting_).substr(i);
    const Sequence sequence = sequence_at(rest);
    if (sequence.verdict == Verdict::kIncomplete) break;
    text.append(sequence.verdict == Verdict::kWhole ? rest.substr(0, sequence.bytes) : kReplacement);
    i += sequence.bytes;
  }
  waiting_.erase(0, i);
  return text;
}

std::string Utf8Joiner::finish() {
  const bool incomplete = !waiting_.empty();
  waiting_.clear();
  return std::string(incomplete ? kReplacement : std::string_view());
}

}  // namespace mooncake
