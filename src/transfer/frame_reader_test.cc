#include "transfer/frame_reader.h"

#include <gtest/gtest.h>

#include "base/rng.h"
#include "transfer/out_queue.h"

namespace mooncake::transfer {
namespace {

/// Writes down what it gets; bulk lands in a buffer of its own.
class Recorder final : public FrameReader::Sink {
 public:
  Status on_frame(const FrameHeader& header, std::string payload) override {
    log_.append(fmt_header(header)).append(payload).append(";");
    return {};
  }
  std::byte* on_bulk(const FrameHeader& /*header*/, const BulkRange& range) override {
    bulk_.assign(range.length, std::byte{0});
    return keep_ ? bulk_.data() : nullptr;
  }
  Status on_bulk_end(const FrameHeader& header, const BulkRange& range) override {
    log_.append(fmt_header(header)).append(std::to_string(range.offset)).append("=").append(to_hex(bulk_)).append(";");
    return {};
  }
  void drop_bulk() { keep_ = false; }
  [[nodiscard]] const std::string& log() const { return log_; }

 private:
  static std::string fmt_header(const FrameHeader& header) {
    return std::string(frame_kind_name(header.kind)) + std::to_string(header.request_id) + ":";
  }

  bool keep_ = true;
  std::vector<std::byte> bulk_;
  std::string log_;
};

void append(std::string& stream, OutFrame frame) {
  stream.append(reinterpret_cast<const char*>(frame.head.data()), frame.head_bytes);
  stream.append(frame.payload);
}

std::string some_stream() {
  std::string stream;
  append(stream, OutFrame::make({.kind = FrameKind::kCall, .request_id = 1}, {}, "hello"));
  append(stream, OutFrame::make({.kind = FrameKind::kReply, .request_id = 2}));
  std::array<std::byte, kRangeBytes> range;
  encode_range({.segment = {1, 2}, .offset = 3, .length = 4}, range);
  append(stream, OutFrame::make({.kind = FrameKind::kWrite, .request_id = 3}, range, "abcd"));
  append(stream, OutFrame::make({.kind = FrameKind::kData, .request_id = 4}, {}, "efgh"));
  append(stream, OutFrame::make({.kind = FrameKind::kData, .request_id = 5}));
  append(stream, OutFrame::make({.kind = FrameKind::kCall, .request_id = 6}, {}, std::string(300, 'x')));
  return stream;
}

constexpr char kExpected[] = "call1:hello;reply2:;write3:3=61626364;data4:0=65666768;data5:0=;call6:";

TEST(FrameReader, FramesAreTheSameHoweverTheStreamIsCut) {
  const std::string stream = some_stream();
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    Rng rng(seed);
    Recorder recorder;
    FrameReader reader(recorder);
    ConstByteSpan rest = as_bytes(stream);
    while (!rest.empty()) {
      const std::size_t cut = std::min<std::size_t>(1 + rng.below(seed % 2 == 0 ? 7 : 90), rest.size());
      const ByteSpan landing = reader.landing();
      if (!landing.empty() && rng.below(2) == 0) {  // as a socket that receives in place
        const std::size_t count = std::min(cut, landing.size());
        std::memcpy(landing.data(), rest.data(), count);
        ASSERT_TRUE(reader.landed(count).ok());
        rest = rest.subspan(count);
      } else {
        ASSERT_TRUE(reader.consume(rest.first(cut)).ok());
        rest = rest.subspan(cut);
      }
    }
    ASSERT_EQ(recorder.log(), kExpected + std::string(300, 'x') + ";") << seed;
  }
}

TEST(FrameReader, BulkWithoutAPlaceIsThrownAwayAndTheStreamGoesOn) {
  Recorder recorder;
  recorder.drop_bulk();
  FrameReader reader(recorder);
  ASSERT_TRUE(reader.consume(as_bytes(some_stream())).ok());
  EXPECT_EQ(recorder.log(),
            "call1:hello;reply2:;write3:3=00000000;data4:0=00000000;data5:0=;call6:" + std::string(300, 'x') + ";");
}

TEST(FrameReader, DivertedBulkStaysAsItWas) {
  Recorder recorder;
  FrameReader reader(recorder);
  const std::string stream = some_stream();
  const std::size_t half = stream.find("abcd") + 2;
  ASSERT_TRUE(reader.consume(as_bytes(stream).first(half)).ok());
  const std::byte* const there = reader.landing().data();
  reader.divert();
  EXPECT_NE(reader.landing().data(), there);
  ASSERT_TRUE(reader.consume(as_bytes(stream).subspan(half)).ok());
  EXPECT_NE(recorder.log().find("write3:3=61620000;"), std::string::npos) << recorder.log();
}

TEST(FrameReader, BrokenFramesEndTheStream) {
  std::array<std::byte, kRangeBytes> range;
  encode_range({.segment = {1, 2}, .offset = 3, .length = 5}, range);
  std::string two_lengths;
  append(two_lengths, OutFrame::make({.kind = FrameKind::kWrite}, range, "abcd"));
  std::string no_range;
  append(no_range, OutFrame::make({.kind = FrameKind::kWrite}, {}, "abcd"));
  for (const std::string& stream : {two_lengths, no_range, std::string(32, 'x')}) {
    Recorder recorder;
    FrameReader reader(recorder);
    EXPECT_EQ(reader.consume(as_bytes(stream)).code(), Code::kCorrupt);
  }
}

}  // namespace
}  // namespace mooncake::transfer
