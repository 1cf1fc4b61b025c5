// FrameReader: turns a stream of bytes into frames, without I/O. Small payloads are collected; bulk payload goes
// straight to the place that the sink names, so that a socket can receive into it.
//
// The owner receives into landing() when it is not empty (and calls landed()), and feeds everything else to consume().
// Both may be mixed in any way and with any cut: the frames are the same. Thread-compatible.
#pragma once

#include <string>

#include "base/bytes.h"
#include "base/status.h"
#include "transfer/frame.h"

namespace mooncake::transfer {

class FrameReader {
 public:
  /// Gets the frames. A failure it returns ends the stream and comes back from consume() or landed().
  class Sink {
   public:
    virtual ~Sink() = default;
    /// A whole frame of any kind but write and data.
    virtual Status on_frame(const FrameHeader& header, std::string payload) = 0;
    /// The head of a write (`range` is its target) or data frame (`range` holds only the length). @return where
    /// range.length bytes go, or null to throw them away.
    virtual std::byte* on_bulk(const FrameHeader& header, const BulkRange& range) = 0;
    /// All bytes of that frame have come.
    virtual Status on_bulk_end(const FrameHeader& header, const BulkRange& range) = 0;
  };

  explicit FrameReader(Sink& sink) : sink_(sink) {}

  /// Where the next bytes of the stream belong. Empty between payloads: then read ahead and consume().
  [[nodiscard]] ByteSpan landing();
  /// `count` bytes of the stream were put into landing().
  Status landed(std::size_t count);
  /// The next bytes of the stream.
  Status consume(ConstByteSpan bytes);

  /// True while bytes land in memory that on_bulk() named.
  [[nodiscard]] bool landing_in_place() const { return state_ == State::kBulk && at_ != nullptr; }
  /// The rest of the current bulk payload is thrown away: its place is not to be touched any more.
  void divert() { at_ = nullptr; }

 private:
  enum class State : std::uint8_t { kHeader, kRange, kMessage, kBulk };

  Status on_header();
  Status begin_bulk();
  Status advance(std::size_t count);
  Status end_payload();

  Sink& sink_;
  State state_ = State::kHeader;
  std::array<std::byte, kHeaderBytes> small_;  // header or range, being collected
  std::size_t have_ = 0;                       // bytes of the current part that have come
  FrameHeader header_;
  BulkRange range_;
  std::string message_;
  std::byte* at_ = nullptr;  // of the bulk payload; null: thrown away
};

static_assert(kRangeBytes <= kHeaderBytes);

}  // namespace mooncake::transfer
