// generate: one prompt, one answer, one engine, one process. The reference that a cluster's answers are compared with:
// the same chunk rule and the same sampler as the workers, and nothing in between.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "base/bytes.h"
#include "base/status.h"
#include "base/time.h"
#include "engine/engine.h"

namespace mooncake::engine {

struct GenerateRequest {
  std::vector<Token> prompt;     ///< at least one token
  std::uint32_t tokens_max = 1;  ///< longest answer; cut to what the context leaves
  float temperature = 0;
  float top_p = 1;
  std::uint64_t seed = 0;
  bool ignore_end = false;  ///< go on past end tokens, as benchmarks do
};

struct Generated {
  std::vector<Token> tokens;  ///< the answer, without the end token
  bool ended = false;         ///< by an end token, not by tokens_max
  Nanos prefill{0};
  Nanos decode{0};
};

/// Who hears what, while it is computed. Either may be empty.
struct GenerateSinks {
  std::function<void(Token)> token;                         ///< each token of the answer
  std::function<void(std::uint32_t, ConstByteSpan)> block;  ///< each block of the prompt, the partial last one too
};

/// Computes the answer in a sequence of its own. @return kInvalidArgument for an empty prompt, kOutOfRange for one that
/// leaves no room in the context, kExhausted if the engine has no free sequence.
Result<Generated> generate(Engine& engine, const GenerateRequest& request, const GenerateSinks& sinks);

}  // namespace mooncake::engine
