// The reader that turns a peer's stream into frames: however the stream is cut, and whether it lands in place or is
// read ahead, the same frames come out and no byte lands outside the place that was named.
//
// The first byte of an input chooses the cuts; the rest is the stream.
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "base/check.h"
#include "base/rng.h"
#include "transfer/frame_reader.h"

using namespace mooncake;            // NOLINT: a program of one function
using namespace mooncake::transfer;  // NOLINT

namespace {

/// Writes down what comes. Each bulk payload lands in a block of exactly its size, so that a sanitizer sees any excess;
/// or of the stream's, of which no more can come.
class Recorder final : public FrameReader::Sink {
 public:
  explicit Recorder(std::size_t stream_bytes) : stream_bytes_(stream_bytes) {}

  Status on_frame(const FrameHeader& header, std::string payload) override {
    CHECK(payload.size() == header.length);
    note(header, as_bytes(payload));
    return {};
  }
  std::byte* on_bulk(const FrameHeader& header, const BulkRange& range) override {
    CHECK(range.length <= kBulkFrameBytesMax);
    bulk_.assign(std::min<std::size_t>(range.length, stream_bytes_), std::byte{0});
    bulk_.shrink_to_fit();
    return header.request_id % 2 == 0 ? bulk_.data() : nullptr;
  }
  Status on_bulk_end(const FrameHeader& header, const BulkRange& range) override {
    CHECK(range.length == bulk_.size());
    note(header, bulk_);
    return {};
  }
  [[nodiscard]] const std::string& log() const { return log_; }

 private:
  void note(const FrameHeader& header, ConstByteSpan payload) {
    log_.append(reinterpret_cast<const char*>(encode_header(header).data()), kHeaderBytes);
    log_.append(reinterpret_cast<const char*>(payload.data()), payload.size());
  }

  const std::size_t stream_bytes_;
  std::vector<std::byte> bulk_;
  std::string log_;
};

std::string read_in_pieces(ConstByteSpan stream, std::uint64_t seed) {
  Rng rng(seed);
  Recorder recorder(stream.size());
  FrameReader reader(recorder);
  while (!stream.empty()) {
    const std::size_t cut = std::min<std::size_t>(1 + rng.below(64), stream.size());
    const ByteSpan landing = reader.landing();
    if (!landing.empty() && rng.below(2) == 0) {
      const std::size_t count = std::min(cut, landing.size());
      std::memcpy(landing.data(), stream.data(), count);
      if (!reader.landed(count).ok()) break;
      stream = stream.subspan(count);
    } else {
      if (!reader.consume(stream.first(cut)).ok()) break;
      stream = stream.subspan(cut);
    }
  }
  return recorder.log();
}

std::string read_whole(ConstByteSpan stream) {
  Recorder recorder(stream.size());
  FrameReader reader(recorder);
  static_cast<void>(reader.consume(stream));
  return recorder.log();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const ConstByteSpan stream(reinterpret_cast<const std::byte*>(data) + 1, size - 1);
  CHECK(read_in_pieces(stream, data[0]) == read_whole(stream));
  return 0;
}
