// OutQueue: the frames that wait to be written to one connection, as the gather list of the next system call. No I/O.
//
// Messages overtake bulk frames that have not begun. A frame borrows its bytes until it is written; those of a bulk
// frame can be had back before by let_go(): a frame on the wire cannot be taken back, so the bytes still unsent are
// copied and the frame ends as it would have.
// A frame's MAC depends on its place in wire order, so it is made when the frame is about to be sent, and again if
// frames before it are taken out meanwhile; of one place, only one ever leaves.
// Thread-compatible.
#pragma once

#include <sys/uio.h>

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "base/bytes.h"
#include "transfer/auth/frame_mac.h"
#include "transfer/fd.h"
#include "transfer/frame.h"

namespace mooncake::transfer {

struct OutFrame {
  /// The range and the source of a shm_pull, the longest of the payloads that are no text.
  static constexpr std::size_t kSmallMax = kRangeBytesMax + kSourceBytes;

  FrameHeader header;                                                ///< its length is filled in by make()
  std::array<std::byte, kHeaderBytes + kMacBytes + kSmallMax> head;  ///< header, MAC if sealed, small payload
  std::size_t head_bytes = 0;
  std::string payload;  ///< owned
  ConstByteSpan borrowed;
  std::shared_ptr<const std::string> lender;  ///< keeps what is borrowed; null if its owner does
  UniqueFd fd;                                ///< travels with the first byte; unix sockets only
  bool sealed = false;                        ///< there is room for a MAC behind the header
  std::optional<std::uint64_t> number;        ///< the MAC is that of this place in wire order

  /// A frame whose payload is `small` (at most kSmallMax bytes), then `payload`, then `borrowed`.
  static OutFrame make(FrameHeader header, ConstByteSpan small = {}, std::string payload = {},
                       ConstByteSpan borrowed = {});
  /// Makes room for a MAC.
  void seal();
  /// Puts the MAC of that place there, if it is not there already.
  void put_mac(FrameMac& mac, std::uint64_t place);
  [[nodiscard]] std::size_t bytes() const { return head_bytes + payload.size() + borrowed.size(); }
  /// True for write and data frames.
  [[nodiscard]] bool bulk() const { return header.kind == FrameKind::kWrite || header.kind == FrameKind::kData; }
};

class OutQueue {
 public:
  /// How a frame came to give its borrowed bytes back.
  enum class LetGo : std::uint8_t {
    kUnknown,  ///< no such frame: it is written, or never was
    kUnsent,   ///< taken out; not a byte of it was sent
    kCopied,   ///< partly sent; the rest goes out from a copy, made now or before
  };
  /// Pieces of one system call: 64 frames of header and payload fit well below IOV_MAX (1024).
  static constexpr std::size_t kGatherMax = 128;
  /// Pieces up to this size that follow one another are copied together, as far as there is room: cheaper than a piece
  /// more for the kernel to look up. A message or answer of that size then is one piece, and one plain send().
  static constexpr std::size_t kJoinedPieceMax = 256;
  static constexpr std::size_t kJoinedBytes = 16u << 10;
  /// Frames are put in wire order this far ahead, so that a message waits for at most this much bulk.
  static constexpr std::size_t kCommitBytes = 1u << 20;

  /// What is pushed from now on is sealed. Once, at most.
  void seal_with(std::unique_ptr<FrameMac> mac) { mac_ = std::move(mac); }
  void push(OutFrame frame);
  /// The bytes to send now, past the queue, to end with that frame: if it is sealed, what is not comes before it. Only
  /// between_frames().
  std::string last(OutFrame frame);
  [[nodiscard]] bool empty() const { return wire_.empty() && urgent_.empty() && bulk_.empty(); }
  /// True if no frame is partly sent.
  [[nodiscard]] bool between_frames() const { return front_sent_ == 0; }
  /// Bytes not yet sent.
  [[nodiscard]] std::size_t bytes() const { return bytes_; }
  /// Memory that waits: those bytes, and the frames themselves, each of them many times its header on the wire.
  [[nodiscard]] std::size_t cost() const {
    return bytes_ + sizeof(OutFrame) * (urgent_.size() + bulk_.size() + wire_.size());
  }

  /// The next bytes to send. A frame with a file descriptor stands alone; `fd` gets it (-1: none). The pieces are valid
  /// until the next call of anything, and of gather() of any queue of this thread.
  std::span<iovec> gather(int& fd);
  /// The first `count` bytes of the last gather() were sent; calls `on_sent` for each bulk frame that is through,
  /// if its bytes were borrowed to the end.
  void sent(std::size_t count, const std::function<void(const FrameHeader&)>& on_sent);

  /// Takes the bulk frame of that kind and request out, if not a byte of it was sent. @return whether it did.
  bool take_out(FrameKind kind, std::uint64_t request_id);
  /// Gives the borrowed bytes of the bulk frame of that kind and request back at once.
  LetGo let_go(FrameKind kind, std::uint64_t request_id);

 private:
  void commit();

  std::deque<OutFrame> urgent_;
  std::deque<OutFrame> bulk_;
  std::deque<OutFrame> wire_;   // in wire order; the front may be partly sent
  std::size_t wire_bytes_ = 0;  // unsent bytes in wire_
  std::size_t front_sent_ = 0;  // bytes of wire_.front() that are sent
  std::size_t bytes_ = 0;
  std::unique_ptr<FrameMac> mac_;   // null: nothing is sealed
  std::uint64_t front_number_ = 0;  // of the first sealed frame in wire_
  std::array<iovec, kGatherMax> pieces_;
};

}  // namespace mooncake::transfer
