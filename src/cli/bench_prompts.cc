#include "cli/bench_prompts.h"

#include <algorithm>
#include <array>

namespace mooncake::cli {
namespace {

// Short, common, and each a token of its own in most vocabularies.
constexpr std::array<std::string_view, 96> kWords = {
    "able",  "after", "air",  "all",   "and",   "any",  "area", "art",  "ask",   "back",  "ball",  "bank",
    "base",  "best",  "big",  "bird",  "blue",  "boat", "body", "book", "both",  "box",   "call",  "car",
    "case",  "cat",   "city", "class", "cold",  "come", "cost", "cut",  "day",   "deep",  "dog",   "door",
    "down",  "dry",   "each", "east",  "end",   "even", "eye",  "face", "fact",  "fall",  "far",   "fast",
    "field", "fire",  "fish", "five",  "food",  "foot", "form", "four", "free",  "full",  "game",  "girl",
    "give",  "glass", "gold", "good",  "green", "hand", "hard", "head", "heart", "high",  "home",  "hot",
    "hour",  "house", "idea", "keep",  "kind",  "king", "land", "last", "late",  "left",  "life",  "light",
    "line",  "list",  "long", "love",  "make",  "map",  "mind", "moon", "name",  "night", "north", "open"};

// A word and its space; the average over kWords is 5.
constexpr std::size_t kWordBytes = 5;
// Growing by half each time, texts of up to a hundred bytes a token are tried.
constexpr int kGrowthsMax = 8;

}  // namespace

std::string random_text(std::size_t bytes, Rng& rng) {
  std::string text;
  text.reserve(bytes + kWordBytes * 2);
  while (text.size() < bytes) text.append(kWords[rng.below(kWords.size())]).push_back(' ');
  text.resize(bytes);
  return text;
}

Result<std::string> sized_text(std::uint32_t tokens, const TokenCounter& count, Rng& rng) {
  if (tokens == 0) return std::string();
  std::string text = random_text(tokens * kWordBytes, rng);
  MC_ASSIGN_OR_RETURN(std::uint32_t counted, count(text));
  for (int growth = 0; counted < tokens; ++growth) {
    if (growth == kGrowthsMax) {
      return Status(Code::kInternal, "random words never amount to " + std::to_string(tokens) + " tokens");
    }
    text += random_text(text.size() / 2 + kWordBytes, rng);
    MC_ASSIGN_OR_RETURN(counted, count(text));
  }
  // The shortest beginning with enough tokens: `enough` has, `short_of` has not.
  std::size_t short_of = 0;
  std::size_t enough = text.size();
  while (enough - short_of > 1) {
    const std::size_t middle = short_of + (enough - short_of) / 2;
    MC_ASSIGN_OR_RETURN(counted, count(std::string_view(text).substr(0, middle)));
    (counted >= tokens ? enough : short_of) = middle;
  }
  text.resize(enough);
  return text;
}

}  // namespace mooncake::cli
