// The chunk rule: which part of a prompt is imported from the cache, and in which pieces the rest is computed.
//
// Attention over chunks of at least kChunkTokensMin tokens gives the same KVCache bytes wherever the cuts are; shorter
// chunks take another path in the engine and give other bytes (and are slower). So no chunk is shorter than that unless
// the prompt is. Cold: a remainder below it joins the chunk before. Warm: whole cached blocks are imported, and if
// fewer than kChunkTokensMin tokens remain, the sequence is truncated so that exactly that many are computed again. The
// last token is always computed, because imported KVCache holds no logits. Workers, the single-process reference and
// the Conductor use this one function, so cold, warm and disaggregated runs agree bit for bit.
//
// Pure. Source: docs/serving.md, chunks.
#pragma once

#include <cstdint>
#include <vector>

namespace mooncake::kvcache {

/// Below this many tokens llama.cpp's flash attention takes its single-row path, with other rounding.
inline constexpr std::uint32_t kChunkTokensMin = 64;

struct ChunkPlan {
  std::uint32_t import_tokens = 0;    ///< whole blocks to import; 0: none
  std::uint32_t start = 0;            ///< first computed position, <= import_tokens: truncate to it after the import
  std::vector<std::uint32_t> chunks;  ///< sizes in order, adding up to prompt_tokens - start
};

/// Plans a prompt of `prompt_tokens` whose first `cached_tokens` (whole blocks; excess and partial ones are ignored)
/// can be imported. Chunks hold `chunk_tokens` (at least kChunkTokensMin; smaller values count as that), the last one
/// up to chunk_tokens + kChunkTokensMin - 1, which the engine must accept: pass Engine::chunk_tokens_max() minus that
/// slack (see chunk_tokens_for). An empty prompt gives an empty plan. O(chunks).
ChunkPlan plan_chunks(std::uint32_t prompt_tokens, std::uint32_t cached_tokens, std::uint32_t chunk_tokens,
                      std::uint32_t block_tokens);

/// The `chunk_tokens` for an engine whose step takes at most `engine_chunk_tokens_max` tokens of one sequence.
constexpr std::uint32_t chunk_tokens_for(std::uint32_t engine_chunk_tokens_max) {
  return engine_chunk_tokens_max >= 2 * kChunkTokensMin ? engine_chunk_tokens_max - (kChunkTokensMin - 1)
                                                        : kChunkTokensMin;
}

/// Tokens that a prompt reuses when its first `cached_tokens` are in the cache: plan_chunks(...).start. At least
/// `computed_min` are left to compute, which only a simulated engine may set lower.
std::uint32_t reusable_tokens(std::uint32_t prompt_tokens, std::uint32_t cached_tokens, std::uint32_t block_tokens,
                              std::uint32_t computed_min = kChunkTokensMin);

}  // namespace mooncake::kvcache
