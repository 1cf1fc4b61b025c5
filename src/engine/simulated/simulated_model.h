// The simulated model: a function from tokens to KVCache bytes and to the next token that is cheap, deterministic, and
// wrong everywhere as soon as one byte of KVCache is wrong. So a cluster can be tested end to end without a model.
//
// A digest runs over all rows of the sequence, as attention runs over all of its KVCache:
//
//   digest(0)     = kDigestSeed
//   seed(t)       = mix(digest(t), token t)                        what the rows at position t are made from
//   row(t, layer) = seed u64 | position u32 | layer u32 | 48 bytes of PRF(seed, position, layer)       64 bytes
//   digest(t + 1) = mix(digest(t), row(t, 0), ..., row(t, 3))      over the bytes as they lie in memory
//   next token    = 32 + digest(length) mod 95                     printable ASCII
//
// A row proves itself (check_row): a flipped bit or a row from elsewhere in the sequence is found at import. A row of
// another prompt is whole in itself, but changes the digest, and with it every later token and row.
//
// A block holds its rows layer by layer: row(t, layer) of a block at ((layer * 64) + t mod 64) * 64, 16 KiB in all.
// Pure.
#pragma once

#include <cstdint>

#include "base/bytes.h"
#include "engine/engine.h"

namespace mooncake::engine::simulated {

inline constexpr std::uint32_t kBlockTokens = 64;
inline constexpr std::uint32_t kLayerCount = 4;
inline constexpr std::uint32_t kRowBytes = 64;
inline constexpr std::uint32_t kBlockBytes = kBlockTokens * kLayerCount * kRowBytes;
inline constexpr std::uint32_t kContextTokens = 131'072;
inline constexpr std::uint32_t kVocabularySize = 256;  ///< one token a byte
inline constexpr std::uint64_t kDigestSeed = 0x6d6f6f6e63616b65;

/// What /v1/models lists, and what blocks look like.
ModelInfo model_info(std::uint32_t context_tokens);
KvLayout kv_layout();

/// Where the row of one position and layer begins in its block.
constexpr std::size_t row_offset(std::uint32_t position, std::uint32_t layer) {
  return (std::size_t{layer} * kBlockTokens + position % kBlockTokens) * kRowBytes;
}

/// Writes the rows of `token` at `position` into its block, given the digest before it.
void write_rows(std::byte* block, std::uint32_t position, std::uint64_t digest, Token token);

/// The digest after `position`, from the bytes of its rows and the digest before it.
std::uint64_t extend_digest(std::uint64_t digest, const std::byte* block, std::uint32_t position);

/// True if the rows of `position` are rows of that position, bit for bit.
bool check_rows(const std::byte* block, std::uint32_t position);

/// The token that follows a sequence with this digest.
Token next_token(std::uint64_t digest);

}  // namespace mooncake::engine::simulated
