// MessageLane: a pair of queue pairs that carries the messages of two engines, in both directions, so that they have
// the latency of RDMA. The frames are those of a TCP connection (frame.h), one behind the other, MACs included; the
// stream is cut into pieces of at most kLanePieceBytes, each of them one SEND:
//
//   piece     up to kLanePieceBytes of the stream, also none; immediate data: LaneCredits' report
//
// Frames of one turn of the loop share a piece, and a frame may take many. Each end has a buffer posted for every piece
// that the other may send (lane_credits.h); one that sends more is refused by our device, and its own gives up. Small
// pieces are copied into the queue (kLaneInlineBytes). Completions wake the loop; nothing is polled.
//
// The end that opens sends an empty piece when it is connected: before that the other may not send, and until it has
// arrived the path may lead nowhere, so no message goes that way. A lane does not say goodbye: its ends part by fence,
// on another connection, as those of a lost connection do (remote_peer.h).
//
// Memory of a lane: (2 * kLanePieces + kLaneReserve) * kLanePieceBytes = 264 KiB, registered as long as it lives, and
// frames that wait, at most kQueuedBytesMax. Loop thread only.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "transfer/auth/session.h"
#include "transfer/frame_reader.h"
#include "transfer/out_queue.h"
#include "transfer/rdma/lane_credits.h"
#include "transfer/rdma/rdma_host.h"

namespace mooncake::transfer {

/// What is wanted to go inline: a call of the store and its answer, header included. Devices have room for some 200 to
/// 1,000 bytes.
inline constexpr std::uint32_t kLaneInlineBytes = 220;

class MessageLane final : private QueuePair::Sink, private FrameReader::Sink {
 public:
  /// What a lane reports. It may be closed from inside, not deleted.
  class User {
   public:
    virtual ~User() = default;
    /// The other end is there, and hears: send() is allowed. Once.
    virtual void on_lane_ready() = 0;
    /// A frame has come. A failure is the peer's, and ends the lane.
    virtual Status on_lane_frame(const FrameHeader& header, std::string payload) = 0;
    /// It is no use any more; close() it. kUnavailable: it broke; else the peer is not to be trusted. Never from inside
    /// a call to it, and once.
    virtual void on_lane_over(const Status& why) = 0;
  };

  MessageLane(RdmaHost& host, net::EventLoop& loop, User& user) : host_(host), loop_(loop), user_(user) {}
  ~MessageLane() override { close(); }

  /// For the end that opens: what the peer must know of it. @return kUnavailable or kExhausted with the reason.
  Result<RdmaEnd> open(const RdmaHost::Port& port);
  /// The peer's answer to that; the lane is ready when the other end is known to hear. @return kUnavailable, or
  /// kCorrupt if it is no answer.
  Status connect(const RdmaEnd& peer);
  /// For the other end: connects to the opener's. @return what the opener must know; kUnavailable or kExhausted.
  Result<RdmaEnd> serve(const RdmaHost::Port& port, const RdmaEnd& opener);
  /// Frames carry MACs of those keys, both ways. Before connect(), or the opener's first piece.
  void seal(const FrameKey& ours, const FrameKey& theirs);

  [[nodiscard]] bool connected() const { return connected_; }
  [[nodiscard]] bool ready() const { return ready_ && !over_; }
  /// Queues a frame. Never calls back from inside. Only once it is ready; no-op when it is over.
  void send(OutFrame frame);
  /// Nothing waits to be sent.
  [[nodiscard]] bool idle() const { return out_.empty(); }
  /// Bytes that go inline; 0: the device can do none.
  [[nodiscard]] std::uint32_t inline_max() const { return pair_ ? pair_->inline_max() : 0; }

  /// From here on nothing is heard of it, and the device touches no memory on its behalf.
  void close();

 private:
  /// Pieces that were posted and may not have left yet.
  static constexpr std::uint32_t kSends = kLanePieces;
  static constexpr std::uint32_t kReceives = kLanePieces + kLaneReserve;
  /// One completion tells of so many pieces: each wakes the loop.
  static constexpr std::uint32_t kSignalEvery = 8;
  static_assert(kSends % kSignalEvery == 0 && kSends / kSignalEvery >= 2);

  void on_completion(const ibv_wc& completion) override;
  void on_fault(std::string_view what) override { over_soon({Code::kUnavailable, std::string(what)}); }
  Status on_frame(const FrameHeader& header, std::string payload) override;
  std::byte* on_bulk(const FrameHeader& /*header*/, const BulkRange& /*range*/) override { return nullptr; }
  Status on_bulk_end(const FrameHeader& header, const BulkRange& range) override;

  Status set_up(const RdmaHost::Port& port);
  void become_ready();
  Status on_piece(std::uint32_t buffer, std::size_t bytes, std::uint32_t report);
  bool post_receive(std::uint32_t buffer);
  bool post_piece(std::size_t bytes);
  std::size_t post_pieces(std::span<const iovec> from);
  void flush();
  void flush_soon();
  [[nodiscard]] bool can_post() const { return posted_ - left_ < kSends; }
  /// Where the next piece is put together.
  [[nodiscard]] ByteSpan next_piece() { return buffer(kReceives + static_cast<std::uint32_t>(posted_ % kSends)); }
  [[nodiscard]] ByteSpan buffer(std::uint32_t number) {
    return ByteSpan(memory_).subspan(std::size_t{number} * kLanePieceBytes, kLanePieceBytes);
  }
  void over_soon(const Status& why);

  RdmaHost& host_;
  net::EventLoop& loop_;
  User& user_;
  const Verbs* verbs_ = nullptr;
  std::vector<std::byte> memory_;  // those to receive into, then those to send from
  ibv_mr* region_ = nullptr;       // of memory_
  std::unique_ptr<QueuePair> pair_;
  RdmaEnd end_;
  bool connected_ = false;
  bool ready_ = false;
  bool over_ = false;      // reported, or about to be, or closed
  bool flushing_ = false;  // a flush is posted
  LaneCredits credits_;
  std::uint64_t posted_ = 0;  // pieces so far
  std::uint64_t left_ = 0;    // of those: their buffers are free again
  OutQueue out_;
  FrameReader reader_{*this};
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // told to posted tasks
};

}  // namespace mooncake::transfer
