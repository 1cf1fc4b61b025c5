// Prompts of a benchmark: random English words, cut to a number of tokens that somebody else counts. Pure.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/rng.h"
#include "base/status.h"

namespace mooncake::cli {

/// Counts the tokens of a text, as the served model would.
using TokenCounter = std::function<Result<std::uint32_t>(std::string_view text)>;

/// Random words, separated by spaces, `bytes` long: two calls practically never return the same beginning.
std::string random_text(std::size_t bytes, Rng& rng);

/// Random words cut where they first have `tokens` tokens: exactly that many with every tokenizer that adds at most one
/// token a byte. Calls `count` about 15 times. @return what `count` failed with; kInternal if it never reaches
/// `tokens`.
Result<std::string> sized_text(std::uint32_t tokens, const TokenCounter& count, Rng& rng);

}  // namespace mooncake::cli
