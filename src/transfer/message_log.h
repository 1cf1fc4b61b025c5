// MessageLog: the messages of one direction of one peer, so that none is lost or heard twice when the connection that
// carries them breaks and another takes over.
//
// Both sides count messages (call, reply, notify): a frame's place in that order is its number, so nothing is added to
// the wire. The sender keeps each message until the receiver has said, now and then, how many it has; after a break it
// asks, drops what has arrived, and sends the rest again on another connection. A frame shares its bytes with the log:
// the receiver may say that it has a message that is still being written. Pure. Thread-compatible.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>

#include "transfer/frame.h"
#include "transfer/out_queue.h"

namespace mooncake::transfer {

/// The receiver says how many messages it has after this many, or this many bytes: under 1 % more frames, and a sender
/// that keeps some 300 KiB for a quiet peer at most.
inline constexpr std::uint64_t kAckMessages = 128;
inline constexpr std::size_t kAckBytes = 256u << 10;

class MessageLog {
 public:
  /// Takes a message and keeps it until it is acknowledged.
  void append(const FrameHeader& header, std::string payload);

  /// Messages that were appended and not yet taken by next().
  [[nodiscard]] bool has_next() const { return sent_ < acked_ + kept_.size(); }
  /// The next message to send, as a frame that keeps the bytes it borrows: it may outlive the message here.
  OutFrame next();

  /// The receiver has the first `count` messages of all; what it said before may come later. @return kCorrupt if that
  /// is more than were sent.
  Status acknowledged(std::uint64_t count);
  /// All that was sent is acknowledged.
  [[nodiscard]] bool settled() const { return acked_ == sent_; }
  /// Everything that is not acknowledged is to be sent again.
  void rewind() { sent_ = acked_; }
  /// Bytes kept: what waits to be sent and what waits to be acknowledged.
  [[nodiscard]] std::size_t bytes() const { return bytes_; }

 private:
  struct Kept {
    FrameHeader header;
    std::shared_ptr<const std::string> payload;
  };

  std::deque<Kept> kept_;  // of which the first is number acked_
  std::uint64_t acked_ = 0;
  std::uint64_t sent_ = 0;
  std::size_t bytes_ = 0;
};

/// The other end: how many messages have come, and when to say so. Thread-compatible.
class MessageCount {
 public:
  /// One more has come. @return true if the sender is to be told now.
  bool arrived(std::size_t bytes);
  [[nodiscard]] std::uint64_t total() const { return total_; }

 private:
  std::uint64_t total_ = 0;
  std::uint64_t since_ = 0;
  std::size_t bytes_since_ = 0;
};

}  // namespace mooncake::transfer
