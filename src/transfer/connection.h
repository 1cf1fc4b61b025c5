// Connection: frames over one stream socket, TCP or unix. Bulk payload is received straight into the place its handler
// names; frames of one turn of the loop leave in one system call.
//
// Loop thread only. A connection keeps itself alive while it waits for its socket; close() ends that.
#pragma once

#include <deque>
#include <memory>
#include <string>

#include "net/event_loop.h"
#include "transfer/auth/tls_stream.h"
#include "transfer/frame_reader.h"
#include "transfer/out_queue.h"

namespace mooncake::transfer {

/// Read ahead of a header: some 50 small messages in one system call, and at most that much of a bulk payload is
/// copied.
inline constexpr std::size_t kStagingBytes = 8u << 10;
/// After that many bytes other connections get their turn.
inline constexpr std::size_t kTurnBytes = 4u << 20;
/// A peer that does not read is cut off when this much waits for it: two windows of 64 MiB, its reads and our writes,
/// and as much again in messages. Frames count with the memory they take, which is more than a small one sends.
inline constexpr std::size_t kQueuedBytesMax = 192u << 20;
/// Descriptors that came and were not yet asked for.
inline constexpr std::size_t kReceivedFdsMax = 8;

class Connection final : public std::enable_shared_from_this<Connection>, private FrameReader::Sink {
 public:
  /// What a connection reports. A failure returned by on_frame or on_bulk_end closes it, telling the other side why.
  class Handler {
   public:
    virtual ~Handler() = default;
    virtual Status on_frame(Connection& from, const FrameHeader& header, std::string payload) = 0;
    /// See FrameReader::Sink.
    virtual std::byte* on_bulk(Connection& from, const FrameHeader& header, const BulkRange& range) = 0;
    virtual Status on_bulk_end(Connection& from, const FrameHeader& header, const BulkRange& range) = 0;
    /// A frame with borrowed bytes was written; they are the owner's again.
    virtual void on_bulk_sent(Connection& from, const FrameHeader& header) = 0;
    /// The connection is over, by the other side or by a fault on it. Not called after our own close().
    virtual void on_closed(Connection& from, const Status& reason) = 0;
  };

  /// Takes a connected socket. It is shared by its owner and by what waits for the socket.
  /// `tls`: what goes over it, if not null; then no descriptor does.
  static std::shared_ptr<Connection> create(net::EventLoop& loop, std::unique_ptr<net::FdWatch> socket,
                                            Handler& handler, std::unique_ptr<TlsStream> tls);
  ~Connection() override = default;

  /// Begins to read.
  void start();
  /// Reports go to `handler` from now on. It must outlive the connection or its close().
  void set_handler(Handler& handler) { handler_ = &handler; }

  /// Frames that are sent from now on carry MACs. Once.
  void seal_with(std::unique_ptr<FrameMac> mac) { out_.seal_with(std::move(mac)); }
  /// Frames that come after the current one must carry them: from inside Handler::on_frame, once.
  void open_with(std::unique_ptr<FrameMac> mac) { reader_.open_with(std::move(mac)); }

  /// The other side is a peer: until then its frames may have no more payload than a hello.
  void trust() { reader_.limit_payload(UINT64_MAX); }
  /// Null without TLS.
  [[nodiscard]] const TlsStream* tls() const { return tls_.get(); }

  /// Queues a frame. Never calls back from inside. No-op after close().
  void send(OutFrame frame);
  /// Queues a frame that may wait for the next one: it leaves with whatever is sent next. The caller sees to that.
  void send_with_next(OutFrame frame);
  /// Sends such frames now, if there are any.
  void send_waiting() {
    if (open() && !out_.empty()) flush_soon();
  }
  /// See OutQueue::let_go.
  OutQueue::LetGo let_go(FrameKind kind, std::uint64_t request_id) { return out_.let_go(kind, request_id); }
  /// See OutQueue::take_out.
  bool take_out(FrameKind kind, std::uint64_t request_id) { return out_.take_out(kind, request_id); }
  /// The bulk payload that is arriving, if one is, is thrown away from here on.
  void divert() { reader_.divert(); }

  /// Reads no further than what has been received already, until there was a resume() for each pause(): the other side
  /// is held up by its own full window. Messages are held up with it, and its end is noticed only then.
  void pause() { ++paused_; }
  void resume();

  /// Closes, after a last attempt to tell the other side why if `tell` is set. Borrowed bytes are let go.
  void close(const Status& reason, bool tell);
  [[nodiscard]] bool open() const { return watch_->fd() >= 0; }
  [[nodiscard]] int fd() const { return watch_->fd(); }
  [[nodiscard]] std::size_t queued_bytes() const { return out_.bytes(); }

  /// The oldest descriptor that came with a frame, if any.
  UniqueFd take_fd();

 private:
  /// What one attempt to receive brought.
  struct Received {
    std::size_t count = 0;
    bool drained = false;  // the socket has no more now
    Status over = {};      // not ok: the connection has ended
  };

  Connection(net::EventLoop& loop, std::unique_ptr<net::FdWatch> watch, Handler& handler,
             std::unique_ptr<TlsStream> tls);

  Status on_frame(const FrameHeader& header, std::string payload) override;
  std::byte* on_bulk(const FrameHeader& header, const BulkRange& range) override;
  Status on_bulk_end(const FrameHeader& header, const BulkRange& range) override;

  void read();
  void read_some();
  Received receive(ByteSpan landing);
  ssize_t receive_with_fds(std::span<iovec> pieces);
  Received receive_tls(ByteSpan landing);
  Status take_in(std::size_t count, std::size_t in_place);
  void flush();
  void flush_soon();
  enum class Written : std::uint8_t { kSome, kFull, kWaitsForInput, kBroken };
  ssize_t send_pieces(std::span<iovec> pieces, int passed);
  Written write_some();
  Written write_tls();
  void end_soon(const Status& reason);
  void fail(const Status& reason, bool tell);

  net::EventLoop& loop_;
  std::unique_ptr<net::FdWatch> watch_;
  Handler* handler_;
  FrameReader reader_;
  OutQueue out_;
  std::unique_ptr<TlsStream> tls_;
  const bool takes_fds_;   // a unix socket, on which descriptors may come
  bool flushing_ = false;  // a flush is posted, or waits for the socket, or comes at the end of read()
  bool reading_ = false;   // inside read()
  bool flush_after_read_ = false;
  bool flush_after_input_ = false;  // one waits for the other side's part of the TLS handshake
  bool overfull_ = false;
  std::size_t paused_ = 0;
  bool waits_to_read_ = false;  // read() stopped because it is paused
  std::array<std::byte, kStagingBytes> staging_;
  std::deque<UniqueFd> fds_;
};

}  // namespace mooncake::transfer
