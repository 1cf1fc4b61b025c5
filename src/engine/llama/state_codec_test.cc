#include "engine/llama/state_codec.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace mooncake::engine::llama {
namespace {

const Key128 kContent{.high = 1, .low = 2};
const std::vector<LayerRows> kLayers = {{.key_bytes = 4, .value_bytes = 2}, {.key_bytes = 6, .value_bytes = 2}};

std::vector<std::byte> block_of(const StateCodec& codec, std::uint32_t index, std::uint32_t tokens) {
  std::vector<std::byte> block(codec.block_bytes());
  codec.write_header(block.data(), index, tokens);
  for (std::size_t i = kBlockHeaderBytes; i < block.size(); ++i) block[i] = static_cast<std::byte>(i * 7 + index);
  return block;
}

TEST(StateCodec, BlocksHoldAHeaderAndTheRowsLayerByLayer) {
  const StateCodec codec(kLayers, kContent, 1);
  EXPECT_EQ(codec.block_bytes(), 64u + 64 * (4 + 2 + 6 + 2));
  EXPECT_EQ(codec.key_offset(0), 64u);
  EXPECT_EQ(codec.value_offset(0), 64u + 64 * 4);
  EXPECT_EQ(codec.key_offset(1), 64u + 64 * 6);
  EXPECT_EQ(codec.value_offset(1), 64u + 64 * 12);
}

TEST(StateCodec, HeadersNameModelIndexAndTokens) {
  const StateCodec codec(kLayers, kContent, 1);
  const std::vector<std::byte> block = block_of(codec, 5, 40);
  EXPECT_TRUE(codec.check_header(block, 5, 40).ok());
  EXPECT_TRUE(codec.check_header(block, 5, 7).ok()) << "fewer tokens than it holds may be used";
  EXPECT_EQ(codec.check_header(block, 5, 41).code(), Code::kCorrupt);
  EXPECT_EQ(codec.check_header(block, 4, 40).code(), Code::kCorrupt);
  const StateCodec other(kLayers, Key128{.high = 1, .low = 3}, 1);
  EXPECT_EQ(other.check_header(block, 5, 40).code(), Code::kCorrupt);
  for (std::size_t at = 0; at < kBlockHeaderBytes; ++at) {
    std::vector<std::byte> changed = block;
    changed[at] ^= std::byte{0x80};
    EXPECT_EQ(codec.check_header(changed, 5, 40).code(), Code::kCorrupt) << "byte " << at;
  }
}

TEST(StateCodec, FingerprintsDifferWithFileAndShapeButNotWithStreams) {
  const StateCodec codec(kLayers, kContent, 1);
  EXPECT_EQ(StateCodec(kLayers, kContent, 8).fingerprint(), codec.fingerprint());
  EXPECT_NE(StateCodec(kLayers, Key128{.high = 2, .low = 2}, 1).fingerprint(), codec.fingerprint());
  EXPECT_NE(StateCodec({kLayers[0]}, kContent, 1).fingerprint(), codec.fingerprint());
}

// The state, field by field: what llama.cpp would write for 70 tokens in stream 1 of 3.
TEST(StateCodec, StatesFollowTheLibrarysLayout) {
  const StateCodec codec(kLayers, kContent, 3);
  const std::vector<std::byte> first = block_of(codec, 0, 64);
  const std::vector<std::byte> second = block_of(codec, 1, 6);
  const std::vector<ConstByteSpan> blocks = {first, second};
  std::vector<std::byte> state(codec.state_bytes(70));
  codec.assemble_state(1, blocks, 70, state);

  std::size_t at = 0;
  const auto u32 = [&] { return load_le<std::uint32_t>(state.data() + std::exchange(at, at + 4)); };
  const auto u64 = [&] { return load_le<std::uint64_t>(state.data() + std::exchange(at, at + 8)); };
  const auto rows = [&](std::size_t offset, std::uint32_t row_bytes) {
    EXPECT_EQ(u32(), 1u) << "F16";
    EXPECT_EQ(u64(), row_bytes);
    const ConstByteSpan all(state.data() + at, 70 * row_bytes);
    EXPECT_TRUE(std::ranges::equal(all.first(64 * row_bytes), ConstByteSpan(first).subspan(offset, 64 * row_bytes)));
    EXPECT_TRUE(std::ranges::equal(all.last(6 * row_bytes), ConstByteSpan(second).subspan(offset, 6 * row_bytes)));
    at += all.size();
  };
  EXPECT_EQ(u32(), 0xaf143cd8u);
  EXPECT_EQ(u32(), 1u) << "sequence";
  EXPECT_EQ(u32(), 3u) << "streams";
  EXPECT_EQ(u32(), 0u) << "cells of stream 0";
  EXPECT_EQ(u32(), 70u);
  for (std::uint32_t position = 0; position < 70; ++position) {
    EXPECT_EQ(u32(), position);
    EXPECT_EQ(u32(), 1u);
    EXPECT_EQ(u32(), 1u);
  }
  EXPECT_EQ(u32(), 0u) << "V is not transposed";
  EXPECT_EQ(u32(), 2u) << "layers";
  rows(codec.key_offset(0), 4);
  rows(codec.key_offset(1), 6);
  rows(codec.value_offset(0), 2);
  rows(codec.value_offset(1), 2);
  EXPECT_EQ(u32(), 0u) << "cells of stream 2";
  EXPECT_EQ(at, state.size());
}

}  // namespace
}  // namespace mooncake::engine::llama
