// The reader of sealed frames: of a stream that somebody changed on its way, only frames before the change come out,
// but for the bytes of bulk, which no MAC covers.
//
// An input is u16 place, u8 what to flip there, u8 cuts, and bytes that follow the good stream.
#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <string>

#include "base/check.h"
#include "base/crc32c.h"
#include "base/rng.h"
#include "transfer/frame_reader.h"
#include "transfer/out_queue.h"

using namespace mooncake;            // NOLINT: a program of one function
using namespace mooncake::transfer;  // NOLINT

namespace {

/// Writes down what comes; of bulk, how many bytes and where they were to go.
class Recorder final : public FrameReader::Sink {
 public:
  Status on_frame(const FrameHeader& header, std::string payload) override {
    log_ += std::to_string(header.request_id) + payload + ";";
    return {};
  }
  std::byte* on_bulk(const FrameHeader& header, const BulkRange& range) override {
    log_ += std::to_string(header.request_id) + "@" + std::to_string(range.segment.generation) + "+" +
            std::to_string(range.offset) + "," + std::to_string(range.length) + ";";
    return nullptr;
  }
  Status on_bulk_end(const FrameHeader&, const BulkRange&) override { return {}; }
  [[nodiscard]] const std::string& log() const { return log_; }

 private:
  std::string log_;
};

/// Three sealed frames, and where the headers begin.
struct Stream {
  std::string bytes;
  std::vector<std::size_t> headers;
};

Stream good_stream() {
  Stream stream;
  FrameMac mac(FrameKey{});
  std::array<std::byte, kRangeBytesMax> room;
  const BulkRange range{.segment = {1, 2}, .offset = 3, .length = 5, .capability = Capability{}};
  std::array<OutFrame, 3> frames = {
      OutFrame::make({.kind = FrameKind::kCall, .request_id = 1}, {}, "hello"),
      OutFrame::make({.kind = FrameKind::kWrite, .request_id = 2}, encode_range(range, room), {}, as_bytes("bytes")),
      OutFrame::make({.kind = FrameKind::kReply, .request_id = 3}, {}, "bye")};
  std::uint64_t number = 0;
  for (OutFrame& frame : frames) {
    frame.seal();
    frame.put_mac(mac, number++);
    stream.headers.push_back(stream.bytes.size());
    stream.bytes.append(reinterpret_cast<const char*>(frame.head.data()), frame.head_bytes);
    stream.bytes += frame.payload;
    stream.bytes.append(reinterpret_cast<const char*>(frame.borrowed.data()), frame.borrowed.size());
  }
  return stream;
}

std::string read_in_pieces(ConstByteSpan stream, std::uint64_t seed) {
  Rng rng(seed);
  Recorder recorder;
  FrameReader reader(recorder);
  reader.open_with(std::make_unique<FrameMac>(FrameKey{}));
  while (!stream.empty()) {
    const std::size_t cut = std::min<std::size_t>(1 + rng.below(64), stream.size());
    if (!reader.consume(stream.first(cut)).ok()) break;
    stream = stream.subspan(cut);
  }
  return recorder.log();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const Stream good = good_stream();
  static const std::string whole = read_in_pieces(as_bytes(good.bytes), 0);
  CHECK(whole == "1hello;2@2+3,5;3bye;");
  if (size < 4) return 0;
  std::string bytes = good.bytes;
  const std::size_t place = (data[0] | data[1] << 8) % bytes.size();
  bytes[place] = static_cast<char>(bytes[place] ^ data[2]);
  for (const std::size_t at : good.headers) {  // no secret is needed for that
    const std::uint32_t crc = crc32c(as_bytes(bytes).subspan(at, 28));
    std::memcpy(bytes.data() + at + 28, &crc, sizeof crc);
  }
  const bool changed = bytes != good.bytes;
  bytes.append(reinterpret_cast<const char*>(data) + 4, size - 4);
  const std::string log = read_in_pieces(as_bytes(bytes), data[3]);
  CHECK(whole.starts_with(log));
  CHECK(changed || log == whole);
  return 0;
}
