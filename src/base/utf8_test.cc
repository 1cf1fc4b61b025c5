#include "base/utf8.h"

#include <gtest/gtest.h>

#include "base/rng.h"

namespace mooncake {
namespace {

constexpr std::string_view kMixed = "aé水🌊\xEF\xBF\xBDz";

std::string joined(std::string_view text, std::size_t cut) {
  Utf8Joiner joiner;
  std::string all = joiner.push(text.substr(0, cut));
  EXPECT_EQ(find_invalid_utf8(all), std::nullopt) << "a piece ends inside a character, cut at " << cut;
  all += joiner.push(text.substr(cut));
  return all += joiner.finish();
}

TEST(Utf8Joiner, PiecesCutAnywhereJoinToTheSameText) {
  for (std::size_t cut = 0; cut <= kMixed.size(); ++cut) EXPECT_EQ(joined(kMixed, cut), kMixed) << cut;
}

TEST(Utf8Joiner, BytesOneByOneNeverShowAPartialCharacter) {
  Utf8Joiner joiner;
  std::string text;
  for (const char byte : kMixed) {
    const std::string piece = joiner.push({&byte, 1});
    EXPECT_EQ(find_invalid_utf8(piece), std::nullopt);
    text += piece;
  }
  EXPECT_EQ(text + joiner.finish(), kMixed);
}

TEST(Utf8Joiner, ReplacesWhatIsNoCharacter) {
  const std::pair<std::string_view, std::string_view> kCases[] = {
      {"a\xFFz", "a�z"},               // never a byte of UTF-8
      {"\x80z", "�z"},                 // a continuation without a beginning
      {"\xC0\xAFz", "��z"},            // overlong
      {"\xE2\x82z", "�z"},             // a maximal subpart is replaced once
      {"\xED\xA0\x80z", "���z"},       // a surrogate
      {"\xF4\x90\x80\x80z", "����z"},  // above U+10FFFF
      {"\xF0\x9F\x8C", "�"},           // cut off at the end
  };
  for (const auto& [bytes, text] : kCases) {
    for (std::size_t cut = 0; cut <= bytes.size(); ++cut) EXPECT_EQ(joined(bytes, cut), text) << "cut at " << cut;
  }
}

TEST(Utf8Joiner, RandomBytesBecomeValidTextIndependentOfTheCuts) {
  Rng rng(7);
  for (int round = 0; round < 2000; ++round) {
    std::string bytes;
    for (std::uint64_t n = rng.below(12); n > 0; --n) {
      constexpr std::string_view kTricky = "a\xC3\xA9\xE0\xA0\xED\x9F\xF0\x90\xF4\x8F\x80\xBF\xFF";
      bytes += kTricky[rng.below(kTricky.size())];
    }
    const std::string whole = joined(bytes, bytes.size());
    EXPECT_EQ(find_invalid_utf8(whole), std::nullopt);
    EXPECT_EQ(joined(bytes, rng.below(bytes.size() + 1)), whole);
    EXPECT_EQ(find_invalid_utf8(bytes) == std::nullopt, whole == bytes);
  }
}

TEST(FindInvalidUtf8, PointsAtTheFirstBadByte) {
  EXPECT_EQ(find_invalid_utf8(kMixed), std::nullopt);
  EXPECT_EQ(find_invalid_utf8("abc\xFF\xFE"), 3u);
  EXPECT_EQ(find_invalid_utf8("ab\xE2\x82"), 2u) << "a truncated character";
}

}  // namespace
}  // namespace mooncake
