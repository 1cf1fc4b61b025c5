// RemotePeer: a peer in another engine. It is connecting until a hello has been exchanged, then live, then over. While
// it is connecting, calls and batches wait.
//
// A connection can be lost while others live: it broke, or its path is silent while another is not. Then each side
//
//   closes it, and says fence(connection) on another; the answer, fenced, comes once the other side has closed it too;
//   then begins again what it had on it: slices on other connections, messages from the first that has not arrived.
//
// So nothing that was on the way can reach memory later, when it may hold something else, and no message is lost or
// heard twice. The epoch is over with its last connection.
//
// Between machines with RDMA ports messages go by a message lane (rdma/message_lane.h) while there is one, and by a
// connection before and after: message_route.h. A lane that is lost is fenced as a connection is. Peers of one host
// have no lane: where bulk goes by shm, messages go by loopback.
//
// Loop thread only.
#pragma once

#include <absl/container/flat_hash_map.h>

#include <deque>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/rng.h"
#include "transfer/call_table.h"
#include "transfer/connection.h"
#include "transfer/context.h"
#include "transfer/cuda/device_landings.h"
#include "transfer/message_log.h"
#include "transfer/message_route.h"
#include "transfer/peer.h"
#include "transfer/rdma/lane_keeper.h"
#include "transfer/rdma/rdma_transport.h"
#include "transfer/shm/shm_transport.h"
#include "transfer/slice_queue.h"
#include "transfer/tcp/redial_table.h"
#include "transfer/tcp/tcp_transport.h"

namespace mooncake::transfer {

/// Calls of one peer that wait for their handler's answer. Above the callers' own limit, because callers give up at
/// their deadline and handlers do not know.
inline constexpr std::size_t kAnsweringMax = 8192;
/// Payloads of calls and notifies of one peer that wait for their handler's answer, or for it to let go of them. By
/// what they were sent with: handlers may keep it as long.
inline constexpr std::size_t kAnsweringBytesMax = 64u << 20;
/// Messages that wait to be sent or acknowledged. A peer that is this far behind is asked for nothing more.
inline constexpr std::size_t kQueuedMessageBytesMax = 64u << 20;
/// All messages that are kept for a peer, answers to its calls included: a peer that does not acknowledge what it reads
/// is ended here. As much as one that does not read may have waiting on a connection.
inline constexpr std::size_t kKeptMessageBytesMax = kQueuedBytesMax;
/// Lost connections that the peer has not fenced: a peer has up to 32 at once, and answers within a round trip.
inline constexpr std::size_t kFencesMax = 32;
/// How often paths are looked at while something is under way on them: a fraction of kRailSilence.
inline constexpr Millis kPathCheck{50};
/// Where the unix connection is: on none.
inline constexpr std::uint8_t kOffRails = 0xff;
/// Connections that the peer has fenced before they were known here; each is one that broke in its first milliseconds.
inline constexpr std::size_t kFencedUnknownMax = 64;
/// How long batches wait for shm and rdma before they take tcp.
inline constexpr Millis kPathsWait{1'000};

class RemotePeer final : public Peer,
                         public std::enable_shared_from_this<RemotePeer>,
                         private Connection::Handler,
                         private LaneKeeper::User {
 public:
  /// What a peer asks of the engine.
  struct Hooks {
    /// The epoch is ending, and is not to be found by its name any more: who learns of it by a call or batch that fails
    /// gets another when it connects. `was_live`: a hello had been exchanged.
    std::function<void(PeerHandle, bool was_live, const Status& why)> ending;
    /// Nothing of it runs any more.
    std::function<void(PeerHandle, bool was_live, const Status& why)> ended;
    /// Told once: the other side knows of the epoch, so that more connections may join it.
    std::function<void(PeerHandle)> joined;
    /// A connection that we dialled is lost, and the peer lives.
    std::function<void(PeerHandle, std::uint8_t rail)> connection_lost;
    /// Sends a reply from any thread.
    std::function<void(PeerHandle, std::uint64_t request_id, Result<std::string>)> post_reply;
  };

  RemotePeer(Context& context, PeerHandle handle, PeerName name, Hooks hooks);

  [[nodiscard]] PeerHandle handle() const { return handle_; }
  [[nodiscard]] const PeerName& name() const { return name_; }
  [[nodiscard]] const Hello& hello() const { return hello_; }
  [[nodiscard]] bool live() const { return state_ == State::kLive; }
  [[nodiscard]] bool over() const { return state_ == State::kOver; }
  [[nodiscard]] std::size_t connection_count() const { return tcp_ ? tcp_->connections().size() : 0; }
  [[nodiscard]] std::size_t connection_count(std::uint8_t rail) const {
    return tcp_ ? tcp_->connections().size_on(rail) : 0;
  }

  /// Of this object: what the other side tells later objects for the same engine from it by.
  [[nodiscard]] std::uint64_t session() const { return session_; }
  /// True if a connection of the other side's `session` belongs to this peer: it is the one that is known, or the
  /// first.
  bool is_with(std::uint64_t session);
  /// When connections that were lost are dialled again.
  RedialTable& redials() { return redials_; }

  /// The first connection has exchanged hellos: the epoch begins, and is over at once if that one cannot be used.
  void begin(const Hello& hello, std::shared_ptr<Connection> connection, const Link& link);
  /// One more connection to the live peer. @return false if it cannot be one, and was closed with the reason.
  bool add(std::shared_ptr<Connection> connection, const Link& link);
  /// The unix connection to the live peer.
  void add_shm(std::shared_ptr<Connection> connection, const Link& link);
  /// True if both sides want shm.
  [[nodiscard]] bool wants_shm() const;
  /// There will be no shm: batches go over tcp. `tell` the peer too.
  void no_shm(bool tell);

  void call(std::uint16_t method, std::string payload, Deadline deadline, CallCallback done) override;
  void reply(std::uint64_t request_id, Result<std::string> result) override;
  void submit(std::shared_ptr<Batch::State> batch) override { queue_.submit(std::move(batch)); }
  void stop(const std::shared_ptr<Batch::State>& batch, const Status& why) override { queue_.stop(batch, why); }
  void revoke(SegmentHandle segment) override;
  void pool_gone(std::uint64_t pool) override;
  void end(const Status& why) override;

 private:
  enum class State : std::uint8_t { kConnecting, kLive, kOver };

  Status on_frame(Connection& from, const FrameHeader& header, std::string payload) override;
  std::byte* on_bulk(Connection& from, const FrameHeader& header, const BulkRange& range) override;
  Status on_bulk_end(Connection& from, const FrameHeader& header, const BulkRange& range) override;
  void on_bulk_sent(Connection& from, const FrameHeader& header) override;
  void on_closed(Connection& from, const Status& reason) override;

  void send_lane_frame(RdmaFrame frame, std::uint64_t lane, std::string payload, Code code) override;
  void on_lane_up() override;
  Status on_lane_message(const FrameHeader& header, std::string payload) override;
  void on_lane_lost(std::uint64_t lane, const Status& why) override;
  [[nodiscard]] bool knows_fenced(std::uint64_t lane) const override;

  Status on_tcp_frame(Connection& from, const FrameHeader& header, std::string payload);
  Status on_message(std::string_view transport, const FrameHeader& header, std::string payload);
  void on_words(std::string_view transport, const FrameHeader& header, std::string payload);
  void on_asked(std::string_view transport, const FrameHeader& header, std::string payload);
  Status on_ack(std::string_view payload);
  Status on_rdma(const FrameHeader& header, std::string_view payload);
  void send_message(FrameKind kind, std::uint64_t id, std::uint32_t argument, std::string payload);
  void send_message(const FrameHeader& header, std::string payload);
  void send_messages();
  /// Ends the peer in a turn of its own, telling it why: for what is found in the middle of something else.
  void end_soon(const Status& why);
  void lose(Connection& connection, const Status& why);
  void lose_shm(const Status& why);
  void fence(std::uint64_t connection_id, std::uint8_t rail);
  void send_fences(std::uint8_t avoid_rail);
  void to_tcp(std::uint8_t avoid_rail);
  [[nodiscard]] OutFrame count_frame(FrameKind kind, std::uint64_t id) const;
  void send_count(Connection& to, FrameKind kind, std::uint64_t id) {
    to.send(count_frame(kind, id));
    watch_paths();
  }
  [[nodiscard]] Status lost(std::string_view why) const;
  Status on_fence(Connection& from, std::uint64_t connection_id);
  Status on_fenced(std::uint64_t connection_id, std::string_view payload);
  [[nodiscard]] bool is_taken(std::uint64_t connection_id) const;
  /// To be called when anything goes by TCP, or will: keep-alive says nothing of a connection on which something is not
  /// acknowledged, and the kernel alone would try for a quarter of an hour.
  void watch_paths();
  void check_paths();
  void ask(FrameKind kind, std::uint64_t id, std::uint16_t method, std::string payload, Deadline deadline,
           CallCallback done);
  SliceQueue::Hooks queue_hooks();
  void begin_rdma();
  /// Batches may go once it is known whether there will be `shm`, and `rdma`.
  void decided(bool shm, bool rdma);
  [[nodiscard]] std::string display_name() const;
  /// Its name in statistics: until it has said one, where it should listen. Of another tenant's the tenant's, as that
  /// is proven: no tenant adds rows without end, or to those of a service.
  [[nodiscard]] std::string_view label() const { return label_; }
  [[nodiscard]] std::string label_of(const Hello& hello) const;

  Context& context_;
  const PeerHandle handle_;
  const PeerName name_;
  std::string label_;
  Hooks hooks_;
  State state_ = State::kConnecting;
  const std::uint64_t session_ = random_seed() | 1;  // never 0
  std::uint64_t their_session_ = 0;                  // 0: not known yet
  Hello hello_;
  std::uint64_t last_id_ = 0;
  // Calls and notifies of the peer whose handler has not answered, or let go of them, and their bytes.
  absl::flat_hash_map<std::uint64_t, std::size_t> answering_;
  std::size_t answering_bytes_ = 0;
  MessageLog to_send_;
  MessageCount heard_;
  MessageRoute route_;                 // what carries our messages
  Connection* messenger_ = nullptr;    // with kTcp and kTurning
  std::uint64_t messenger_fence_ = 0;  // the lost connection or lane that carried them, until it is fenced
  std::uint8_t messenger_avoids_ = 0;  // its rail
  std::set<std::uint64_t> fences_;     // lost connections that the peer has not fenced yet
  std::deque<std::uint64_t> unknown_;  // fenced by the peer before they were known here
  std::uint64_t shm_link_ = 0;         // names the unix connection, also after its end; 0: there was none
  RedialTable redials_;
  bool joined_ = false;    // the other side has said so
  bool watching_ = false;  // check_paths() is due
  CallTable calls_;
  SliceQueue queue_;
  DeviceLandings landings_;
  std::unique_ptr<TcpTransport> tcp_;    // once live
  std::unique_ptr<ShmTransport> shm_;    // once there is a unix connection
  std::unique_ptr<RdmaTransport> rdma_;  // once live, if both sides have RDMA ports
  std::unique_ptr<LaneKeeper> lanes_;    // the same, if both know of lanes and are not on one host
  bool shm_decided_ = false;
  bool rdma_decided_ = false;
};

}  // namespace mooncake::transfer
