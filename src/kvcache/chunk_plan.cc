#include "kvcache/chunk_plan.h"

#include <algorithm>

#include "base/check.h"

namespace mooncake::kvcache {

std::uint32_t reusable_tokens(std::uint32_t prompt_tokens, std::uint32_t cached_tokens, std::uint32_t block_tokens,
                              std::uint32_t computed_min) {
  CHECK(block_tokens > 0);
  const std::uint32_t cached = std::min(cached_tokens, prompt_tokens) / block_tokens * block_tokens;
  if (prompt_tokens <= computed_min) return 0;
  return std::min(cached, prompt_tokens - computed_min);
}

ChunkPlan plan_chunks(std::uint32_t prompt_tokens, std::uint32_t cached_tokens, std::uint32_t chunk_tokens,
                      std::uint32_t block_tokens) {
  ChunkPlan plan;
  plan.start = reusable_tokens(prompt_tokens, cached_tokens, block_tokens);
  // The block that `start` cuts through is imported whole; blocks behind it would only be truncated away.
  plan.import_tokens = (plan.start + block_tokens - 1) / block_tokens * block_tokens;
  const std::uint32_t size = std::max(chunk_tokens, kChunkTokensMin);
  std::uint32_t left = prompt_tokens - plan.start;
  while (left > 0) {
    const std::uint32_t chunk = left < size + kChunkTokensMin ? left : size;  // never leaves less than the minimum
    plan.chunks.push_back(chunk);
    left -= chunk;
  }
  return plan;
}

}  // namespace mooncake::kvcache
