#include "engine/llama/state_codec.h"

#include <fmt/core.h>
#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <cstring>

namespace mooncake::engine::llama {
namespace {

constexpr std::uint32_t kBlockMagic = 0x564b434d;  // "MCKV"
constexpr std::uint32_t kStateMagic = 0xaf143cd8;
constexpr std::int32_t kTypeF16 = 1;  // GGML_TYPE_F16; a test compares

constexpr std::size_t kStateHeaderBytes = 12;  // magic, sequence, streams
constexpr std::size_t kCellBytes = 12;         // position, count, sequence
constexpr std::size_t kDataHeaderBytes = 8;    // transposed, layers
constexpr std::size_t kLayerHeaderBytes = 12;  // type, row bytes

// Appends to a buffer whose size was computed beforehand.
class Writer {
 public:
  explicit Writer(ByteSpan buffer) : rest_(buffer) {}
  template <typename T>
  void put(T value) {
    store_le(take(sizeof value), value);
  }
  void put_bytes(ConstByteSpan bytes) { std::memcpy(take(bytes.size()), bytes.data(), bytes.size()); }
  [[nodiscard]] bool full() const { return rest_.empty(); }

 private:
  std::byte* take(std::size_t count) {
    CHECK(count <= rest_.size());
    std::byte* const at = rest_.data();
    rest_ = rest_.subspan(count);
    return at;
  }
  ByteSpan rest_;
};

// One layer's keys or values: the header, then the rows of all blocks, which lie at `offset` in each.
void put_rows(Writer& writer, std::span<const ConstByteSpan> blocks, std::uint32_t tokens, std::size_t offset,
              std::uint32_t row_bytes) {
  writer.put(kTypeF16);
  writer.put(std::uint64_t{row_bytes});
  for (const ConstByteSpan block : blocks) {
    const std::uint32_t rows = std::min(tokens, kBlockTokens);
    writer.put_bytes(block.subspan(offset, std::size_t{rows} * row_bytes));
    tokens -= rows;
  }
}

Key128 make_fingerprint(std::span<const LayerRows> layers, const Key128& content) {
  std::vector<std::byte> facts(16 + 4 + 4 + layers.size() * 8);
  Writer writer(facts);
  writer.put(content.high);
  writer.put(content.low);
  writer.put(kCodecVersion);
  writer.put(kTypeF16);
  for (const LayerRows& rows : layers) {
    writer.put(rows.key_bytes);
    writer.put(rows.value_bytes);
  }
  std::array<std::byte, 32> digest{};
  CHECK(EVP_Digest(facts.data(), facts.size(), reinterpret_cast<unsigned char*>(digest.data()), nullptr, EVP_sha256(),
                   nullptr) == 1);
  return {.high = load_le<std::uint64_t>(digest.data()), .low = load_le<std::uint64_t>(digest.data() + 8)};
}

}  // namespace

StateCodec::StateCodec(std::vector<LayerRows> layers, const Key128& content, std::uint32_t streams)
    : layers_(std::move(layers)), streams_(streams), fingerprint_(make_fingerprint(layers_, content)) {
  std::size_t offset = kBlockHeaderBytes;
  for (const LayerRows& rows : layers_) {
    offsets_.push_back(offset);
    offset += std::size_t{rows.key_bytes + rows.value_bytes} * kBlockTokens;
  }
  block_bytes_ = offset;
}

void StateCodec::write_header(std::byte* block, std::uint32_t index, std::uint32_t tokens) const {
  std::memset(block, 0, kBlockHeaderBytes);
  Writer writer({block, kBlockHeaderBytes});
  writer.put(kBlockMagic);
  writer.put(kCodecVersion);
  writer.put(fingerprint_.high);
  writer.put(fingerprint_.low);
  writer.put(index);
  writer.put(tokens);
}

Status StateCodec::check_header(ConstByteSpan block, std::uint32_t index, std::uint32_t tokens) const {
  std::array<std::byte, kBlockHeaderBytes> expected;
  const auto held = load_le<std::uint32_t>(block.data() + 28);
  write_header(expected.data(), index, held);
  if (held < tokens || held > kBlockTokens || !std::ranges::equal(block.first(kBlockHeaderBytes), expected)) {
    return Status(Code::kCorrupt, fmt::format("what came as block {} is not that block of this model", index));
  }
  return {};
}

std::size_t StateCodec::state_bytes(std::uint32_t tokens) const {
  std::size_t bytes =
      kStateHeaderBytes + std::size_t{streams_} * 4 + std::size_t{tokens} * kCellBytes + kDataHeaderBytes;
  for (const LayerRows& rows : layers_) {
    bytes += 2 * kLayerHeaderBytes + std::size_t{rows.key_bytes + rows.value_bytes} * tokens;
  }
  return bytes;
}

void StateCodec::assemble_state(std::uint32_t sequence, std::span<const ConstByteSpan> blocks, std::uint32_t tokens,
                                ByteSpan state) const {
  Writer writer(state);
  writer.put(kStateMagic);
  writer.put(sequence);
  writer.put(streams_);
  for (std::uint32_t stream = 0; stream < streams_; ++stream) {
    if (stream != sequence) {
      writer.put(std::uint32_t{0});
      continue;
    }
    writer.put(tokens);
    for (std::uint32_t position = 0; position < tokens; ++position) {
      writer.put(position);
      writer.put(std::uint32_t{1});
      writer.put(sequence);
    }
    writer.put(std::uint32_t{0});
    writer.put(static_cast<std::uint32_t>(layers_.size()));
    for (std::uint32_t layer = 0; layer < layers_.size(); ++layer) {
      put_rows(writer, blocks, tokens, key_offset(layer), layers_[layer].key_bytes);
    }
    for (std::uint32_t layer = 0; layer < layers_.size(); ++layer) {
      put_rows(writer, blocks, tokens, value_offset(layer), layers_[layer].value_bytes);
    }
  }
  CHECK(writer.full());
}

}  // namespace mooncake::engine::llama
