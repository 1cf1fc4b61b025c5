// FrameReader: turns a stream of bytes into frames, without I/O. Small payloads are collected; bulk payload goes
// straight to the place that the sink names, so that a socket can receive into it.
//
// The owner receives into landing() when it is not empty (and calls landed()), and feeds everything else to consume().
// Both may be mixed in any way and with any cut: the frames are the same. Thread-compatible.
#pragma once

#include <memory>
#include <string>

#include "base/bytes.h"
#include "base/status.h"
#include "transfer/auth/frame_mac.h"
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

  /// The frames that begin from now on are sealed: a wrong MAC is kPermissionDenied, and nothing of that frame reaches
  /// the sink. Between frames (inside Sink::on_frame, for one), once.
  void open_with(std::unique_ptr<FrameMac> mac);

  /// Frames that begin from now on may have no more payload than that: strangers are not given memory.
  void limit_payload(std::uint64_t bytes) { payload_max_ = bytes; }

  /// Where the next bytes of the stream belong. Empty between payloads: then read ahead and consume().
  [[nodiscard]] ByteSpan landing();
  /// `count` bytes of the stream were put into landing().
  Status landed(std::size_t count);
  /// The next bytes of the stream.
  Status consume(ConstByteSpan bytes);

  /// The rest of the current bulk payload is thrown away: its place is not to be touched any more.
  void divert() { at_ = nullptr; }

 private:
  enum class State : std::uint8_t { kHeader, kRange, kMessage, kBulk };

  /// Where the current small part is collected, all of it.
  ByteSpan part();
  Status on_header();
  Status on_range();
  Status check_mac(ConstByteSpan payload);
  Status begin_bulk();
  Status advance(std::size_t count);
  Status end_payload();

  Sink& sink_;
  State state_ = State::kHeader;
  std::array<std::byte, kHeaderBytes + kMacBytes> head_;  // header and MAC
  std::array<std::byte, kRangeBytesMax> range_head_;      // of a write
  std::size_t range_bytes_ = kRangeBytes;                 // of it, as far as is known
  std::size_t have_ = 0;                                  // bytes of the current part that have come
  FrameHeader header_;
  BulkRange range_;
  std::string message_;
  std::uint64_t payload_max_ = UINT64_MAX;
  std::byte* at_ = nullptr;        // of the bulk payload; null: thrown away
  std::unique_ptr<FrameMac> mac_;  // null: frames are not sealed
  std::uint64_t number_ = 0;       // of the current frame, if they are
};

}  // namespace mooncake::transfer
