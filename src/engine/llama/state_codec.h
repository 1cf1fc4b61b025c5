// The two byte layouts of KVCache that this engine knows, and the way between them. Pure.
//
// Block: ours. What travels, is stored, and is equal on every worker:
//
//   0   magic u32 = "MCKV" | version u32 = 1 | model fingerprint u64 high, u64 low | block index u32 | tokens u32 |
//       zeros up to kBlockHeaderBytes = 64
//   64  layer 0: 64 key rows, 64 value rows | layer 1: ... ; rows from `tokens` on are zero
//
// Sequence state: llama.cpp's, for llama_state_seq_set_data_ext, whole sequences only. It has no version and is checked
// by nobody on the way in, so the engine compares it once, at load, with what this file predicts:
//
//   magic u32 = 0xaf143cd8 | sequence i32 | streams u32 | for each stream: cells u32, and unless that is 0:
//     for each cell: position i32, sequence count u32 = 1, sequence i32
//     V transposed u32 = 0 | layers u32
//     for each layer: K type i32, row bytes u64, cells rows | then for each layer: V type i32, row bytes u64, cells
//     rows
//
// Source: llama.cpp v0.5.0, src/llama-kv-cache.cpp, state_write.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "base/key128.h"
#include "base/status.h"
#include "engine/llama/gguf_file.h"

namespace mooncake::engine::llama {

inline constexpr std::uint32_t kBlockTokens = 64;
inline constexpr std::uint32_t kBlockHeaderBytes = 64;
/// Part of the fingerprint: changes when the bytes of a block change.
inline constexpr std::uint32_t kCodecVersion = 1;

class StateCodec {
 public:
  /// `content` is GgufFile::content. `streams` is how many sequences the context was made for.
  StateCodec(std::vector<LayerRows> layers, const Key128& content, std::uint32_t streams);

  /// KvLayout::model: the file's content, the layers' rows, the KV type and the codec.
  [[nodiscard]] const Key128& fingerprint() const { return fingerprint_; }
  [[nodiscard]] std::uint64_t block_bytes() const { return block_bytes_; }
  [[nodiscard]] std::span<const LayerRows> layers() const { return layers_; }

  /// Where a layer's key and value rows begin in a block.
  [[nodiscard]] std::size_t key_offset(std::uint32_t layer) const { return offsets_[layer]; }
  [[nodiscard]] std::size_t value_offset(std::uint32_t layer) const {
    return offsets_[layer] + std::size_t{layers_[layer].key_bytes} * kBlockTokens;
  }

  /// Writes the header of block `index` that holds `tokens` tokens.
  void write_header(std::byte* block, std::uint32_t index, std::uint32_t tokens) const;
  /// @return kCorrupt unless `block` says that it is block `index` of this model with at least `tokens` tokens.
  [[nodiscard]] Status check_header(ConstByteSpan block, std::uint32_t index, std::uint32_t tokens) const;

  /// Bytes of the state of a sequence of `tokens` tokens; at least 1.
  [[nodiscard]] std::size_t state_bytes(std::uint32_t tokens) const;
  /// Builds the state of `sequence` (its stream has the same number) from its blocks, whose headers have been checked.
  /// `state` has state_bytes(tokens) bytes.
  void assemble_state(std::uint32_t sequence, std::span<const ConstByteSpan> blocks, std::uint32_t tokens,
                      ByteSpan state) const;

 private:
  std::vector<LayerRows> layers_;
  std::vector<std::size_t> offsets_;  // of each layer in a block
  std::uint32_t streams_;
  std::uint64_t block_bytes_ = 0;
  Key128 fingerprint_;
};

}  // namespace mooncake::engine::llama
