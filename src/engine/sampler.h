// sample: which token comes next. Pure: the same arguments give the same token on every worker, so a stream that loses
// its worker goes on elsewhere with the tokens it would have had.
#pragma once

#include <cstdint>
#include <span>

#include "engine/tokenizer.h"

namespace mooncake::engine {

/// Chooses from `logits` (at least one; a NaN counts as impossible) the token at `position` of the answer.
///
/// `temperature` 0 or below: the largest logit, the lowest id among equals. Otherwise a draw from
/// softmax(logits / temperature), cut to the smallest set of likeliest tokens that holds `top_p` of the probability
/// (1 or above: all; 0: only the likeliest). The draw depends on (seed, choice, position) and nothing else.
/// Thread-safe. O(vocabulary), plus a heap walk of the tokens kept when top_p < 1.
Token sample(std::span<const float> logits, float temperature, float top_p, std::uint64_t seed, std::uint32_t choice,
             std::uint32_t position);

}  // namespace mooncake::engine
