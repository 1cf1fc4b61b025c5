#include "engine/simulated/simulated_model.h"

#include <algorithm>
#include <array>

#include "base/rng.h"

namespace mooncake::engine::simulated {
namespace {

constexpr std::uint64_t mix(std::uint64_t state, std::uint64_t word) { return splitmix64(splitmix64(state) ^ word); }

std::array<std::byte, kRowBytes> make_row(std::uint64_t seed, std::uint32_t position, std::uint32_t layer) {
  std::array<std::byte, kRowBytes> row;
  store_le(row.data(), seed);
  store_le(row.data() + 8, position);
  store_le(row.data() + 12, layer);
  Rng filler(mix(seed, std::uint64_t{position} << 32 | layer));
  for (std::size_t at = 16; at < kRowBytes; at += 8) store_le(row.data() + at, filler.next());
  return row;
}

}  // namespace

ModelInfo model_info(std::uint32_t context_tokens) {
  return {.id = "simulated", .context_tokens = context_tokens == 0 ? kContextTokens : context_tokens};
}

KvLayout kv_layout() {
  // Any constant would do: there is one simulated model. Change `low` when the bytes of a block change.
  return {.model = Key128{.high = kDigestSeed, .low = 1},
          .block_tokens = kBlockTokens,
          .layer_count = kLayerCount,
          .block_bytes = kBlockBytes};
}

void write_rows(std::byte* block, std::uint32_t position, std::uint64_t digest, Token token) {
  const std::uint64_t seed = mix(digest, static_cast<std::uint64_t>(token));
  for (std::uint32_t layer = 0; layer < kLayerCount; ++layer) {
    std::ranges::copy(make_row(seed, position, layer), block + row_offset(position, layer));
  }
}

std::uint64_t extend_digest(std::uint64_t digest, const std::byte* block, std::uint32_t position) {
  for (std::uint32_t layer = 0; layer < kLayerCount; ++layer) {
    const std::byte* const row = block + row_offset(position, layer);
    for (std::size_t at = 0; at < kRowBytes; at += 8) digest = mix(digest, load_le<std::uint64_t>(row + at));
  }
  return digest;
}

bool check_rows(const std::byte* block, std::uint32_t position) {
  const auto seed = load_le<std::uint64_t>(block + row_offset(position, 0));
  for (std::uint32_t layer = 0; layer < kLayerCount; ++layer) {
    if (!std::ranges::equal(make_row(seed, position, layer),
                            ConstByteSpan(block + row_offset(position, layer), kRowBytes))) {
      return false;
    }
  }
  return true;
}

Token next_token(std::uint64_t digest) { return static_cast<Token>(32 + splitmix64(digest) % 95); }

}  // namespace mooncake::engine::simulated
