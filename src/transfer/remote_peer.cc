#include "transfer/remote_peer.h"

#include <fmt/format.h>

#include "base/log.h"

namespace mooncake::transfer {
namespace {

/// The last message before those that come by a lane.
bool is_turn(const FrameHeader& header) {
  return header.kind == FrameKind::kRdma && header.argument == rdma_argument(RdmaFrame::kTurn);
}

}  // namespace

RemotePeer::RemotePeer(Context& context, PeerHandle handle, PeerName name, Hooks hooks)
    : context_(context),
      handle_(handle),
      name_(std::move(name)),
      label_(name_),
      hooks_(std::move(hooks)),
      calls_(context, {.handle = handle, .name = [this] { return label(); }}),
      queue_(context, handle, queue_hooks()),
      landings_(context, handle) {}

SliceQueue::Hooks RemotePeer::queue_hooks() {
  return {
      .choose = [this](const Slice& slice, const Transport* refused) -> Transport* {
        if (shm_ && refused == nullptr && shm_->carries(slice)) return shm_.get();
        if (rdma_ && refused != rdma_.get() && rdma_->carries(slice)) return rdma_.get();
        watch_paths();
        return tcp_.get();
      },
      .notify =
          [this](const SliceQueue::BatchPtr& batch) {
            batch->notify_id = ++last_id_;
            ask(FrameKind::kNotify, batch->notify_id, batch->notify->method, std::move(batch->notify->payload), kNever,
                [this, batch](const Result<std::string>& result) { queue_.notify_done(batch, result.status()); });
          },
      .forget_notify = [this](std::uint64_t id) { calls_.forget(id); },
      .next_id = [this] { return ++last_id_; },
      .peer_name = [this] { return label(); },
      .transport_name = [this]() -> std::string_view {
        if (shm_ && shm_->ready()) return "shm";
        return rdma_ && rdma_->ready() ? "rdma" : "tcp";
      },
  };
}

std::string RemotePeer::label_of(const Hello& hello) const {
  const bool guest = context_.credentials.keys.has_value() && !hello.tenant.empty();
  if (guest && hello.tenant != context_.hello.tenant) return fmt::format("tenant {}", hello.tenant);
  return hello.node_name.empty() ? name_ : hello.node_name;
}

std::string RemotePeer::display_name() const {
  return hello_.node_name.empty() ? name_ : fmt::format("{} at {}", hello_.node_name, name_);
}

bool RemotePeer::wants_shm() const {
  return !context_.hello.shm_socket.empty() && !hello_.shm_socket.empty() && context_.hello.boot_id == hello_.boot_id;
}

bool RemotePeer::is_with(std::uint64_t session) {
  if (their_session_ == 0) their_session_ = session;
  return their_session_ == session;
}

void RemotePeer::begin(const Hello& hello, std::shared_ptr<Connection> connection, const Link& link) {
  CHECK(state_ == State::kConnecting);
  state_ = State::kLive;
  hello_ = hello;
  label_ = label_of(hello);
  calls_.renamed();
  const std::size_t rails = std::max(hello_.rails.size(), context_.hello.rails.size()) + 1;
  tcp_ = std::make_unique<TcpTransport>(context_, queue_, landings_, handle_, label_, rails);
  Connection* const first = connection.get();
  if (!add(std::move(connection), link)) return end(lost("its first connection cannot be used"));
  messenger_ = first;
  route_.to_tcp();
  begin_rdma();
  send_messages();
  decided(!wants_shm(), !rdma_);
  if (shm_decided_ && rdma_decided_) return;
  context_.loop->post_at(context_.loop->clock().now() + kPathsWait, [weak = weak_from_this()] {
    const auto self = weak.lock();
    if (self && self->state_ == State::kLive) self->decided(true, true);
  });
}

void RemotePeer::begin_rdma() {
  if (!context_.rdma || (hello_.features & kFeatureRdma) == 0) return;
  rdma_ = std::make_unique<RdmaTransport>(
      context_, *context_.rdma, queue_, handle_, label_,
      [this](const FrameHeader& header, std::string payload) { send_message(header, std::move(payload)); });
  if ((hello_.features & kFeatureMessageLanes) == 0 || wants_shm()) return;
  lanes_ =
      std::make_unique<LaneKeeper>(context_, *context_.rdma, hello_, label_, static_cast<LaneKeeper::User&>(*this));
}

void RemotePeer::decided(bool shm, bool rdma) {
  shm_decided_ = shm_decided_ || shm;
  rdma_decided_ = rdma_decided_ || rdma;
  if (shm_decided_ && rdma_decided_) queue_.open();
}

/// By a connection, the unix socket's, or one that is not fenced yet.
bool RemotePeer::is_taken(std::uint64_t connection_id) const {
  return fences_.contains(connection_id) || tcp_->connections().find(connection_id) != nullptr ||
         connection_id == shm_link_;
}

bool RemotePeer::add(std::shared_ptr<Connection> connection, const Link& link) {
  const bool fenced = std::ranges::find(unknown_, link.id) != unknown_.end();
  if (fenced || is_taken(link.id)) {
    connection->close({Code::kStale, "this connection was over before it began"}, true);
    return false;
  }
  if (link.rail >= tcp_->rail_count()) {
    connection->close({Code::kCorrupt, fmt::format("rail {} of {}", link.rail, tcp_->rail_count())}, true);
    return false;
  }
  connection->set_handler(*this);
  if (!link.dialled) {
    std::array<std::byte, 8> session;
    store_le(session.data(), session_);
    connection->send(OutFrame::make({.kind = FrameKind::kJoined}, session));
  }
  tcp_->add(std::move(connection), link);
  watch_paths();
  return true;
}

void RemotePeer::add_shm(std::shared_ptr<Connection> connection, const Link& link) {
  if (shm_link_ != 0) return connection->close({Code::kAlreadyExists, "there is, or was, a shm connection"}, true);
  if (const Result<pid_t> process = peer_process(connection->fd()); !process.ok()) {
    connection->close(process.status(), true);
    return no_shm(true);
  }
  connection->set_handler(*this);
  shm_link_ = link.id;
  shm_ = std::make_unique<ShmTransport>(context_, queue_, landings_, handle_, label_, std::move(connection));
}

void RemotePeer::no_shm(bool tell) {
  if (tell) send_message(FrameKind::kShmOff, 0, 0, {});
  decided(true, false);
}

void RemotePeer::send_message(FrameKind kind, std::uint64_t id, std::uint32_t argument, std::string payload) {
  send_message({.kind = kind, .request_id = id, .argument = argument}, std::move(payload));
}

void RemotePeer::send_message(const FrameHeader& header, std::string payload) {
  if (to_send_.bytes() > kKeptMessageBytesMax) {
    return end_soon({Code::kExhausted, "the peer does not acknowledge the messages that are sent to it"});
  }
  to_send_.append(header, std::move(payload));
  send_messages();
}

void RemotePeer::send_messages() {
  switch (route_.carrier()) {
    case MessageRoute::Carrier::kTcp:
      while (to_send_.has_next()) messenger_->send(to_send_.next());
      return watch_paths();
    case MessageRoute::Carrier::kLane:
      while (to_send_.has_next()) lanes_->send(to_send_.next());
      return;
    case MessageRoute::Carrier::kTurning:
    case MessageRoute::Carrier::kNone:
      return;
  }
}

void RemotePeer::call(std::uint16_t method, std::string payload, Deadline deadline, CallCallback done) {
  ask(FrameKind::kCall, ++last_id_, method, std::move(payload), deadline, std::move(done));
}

void RemotePeer::ask(FrameKind kind, std::uint64_t id, std::uint16_t method, std::string payload, Deadline deadline,
                     CallCallback done) {
  const bool call = kind == FrameKind::kCall;
  if (call && (calls_.full() || to_send_.bytes() > kQueuedMessageBytesMax)) calls_.counters(route_.name()).failed();
  if (calls_.full()) {
    return done(Status(Code::kExhausted, fmt::format("{} calls to {} wait for an answer, the most there can be",
                                                     kCallsMax, display_name())));
  }
  if (to_send_.bytes() > kQueuedMessageBytesMax) {
    return done(Status(Code::kExhausted, fmt::format("{} does not keep up with what is sent to it", display_name())));
  }
  if (call) {
    calls_.add(id, payload.size(), route_.name(), deadline, std::move(done));
  } else {
    calls_.add_notify(id, std::move(done));
  }
  send_message(kind, id, method, std::move(payload));
}

void RemotePeer::reply(std::uint64_t request_id, Result<std::string> result) {
  const auto asked = answering_.find(request_id);
  if (asked == answering_.end()) return;
  answering_bytes_ -= asked->second;
  answering_.erase(asked);
  if (result.ok() && result->size() > kMessageBytesMax) {
    result = Status(Code::kInternal,
                    fmt::format("the reply has {} bytes, at most {} can be sent", result->size(), kMessageBytesMax));
  }
  if (result.ok()) return send_message(FrameKind::kReply, request_id, 0, std::move(*result));
  const Status& status = result.status();
  send_message(FrameKind::kReply, request_id, static_cast<std::uint32_t>(status.code()),
               status.message().substr(0, kReasonBytesMax));
}

Status RemotePeer::on_frame(Connection& from, const FrameHeader& header, std::string payload) {
  if (header.kind == FrameKind::kClose) {
    end(lost("the peer closed the connection: " + payload.substr(0, kReasonBytesMax)));
    return {};
  }
  if (shm_ && shm_->owns(from)) {
    MC_RETURN_IF_ERROR(shm_->on_frame(header, payload));
    decided(shm_->ready(), false);
    return {};
  }
  return on_tcp_frame(from, header, std::move(payload));
}

Status RemotePeer::on_tcp_frame(Connection& from, const FrameHeader& header, std::string payload) {
  switch (header.kind) {
    case FrameKind::kCall:
    case FrameKind::kNotify:
    case FrameKind::kReply:
    case FrameKind::kShmOff:
    case FrameKind::kRdma:
      // Who turns to a lane waits for the count.
      if (heard_.arrived(payload.size()) || is_turn(header)) send_count(from, FrameKind::kAck, 0);
      return on_message("tcp", header, std::move(payload));
    case FrameKind::kAck:
      return on_ack(payload);
    case FrameKind::kJoined: {
      // Or whoever comes in could have us dial wherever its hello says.
      if (!tcp_->connections().dialled(from)) return {Code::kCorrupt, "joined is said by the side that was dialled"};
      MC_ASSIGN_OR_RETURN(const std::uint64_t session, decode_count(as_bytes(payload)));
      if (!is_with(session)) {
        end(lost("it has lost this engine meanwhile"));
      } else if (!std::exchange(joined_, true)) {
        hooks_.joined(handle_);
      }
      return {};
    }
    case FrameKind::kFence:
      return on_fence(from, header.request_id);
    case FrameKind::kFenced:
      return on_fenced(header.request_id, payload);
    case FrameKind::kRead:
      watch_paths();
      return tcp_->on_read(from, header, payload);
    case FrameKind::kDone:
      return tcp_->on_done(header, payload);
    case FrameKind::kCancel:
      tcp_->on_cancel(header.request_id);
      return {};
    default:
      return {Code::kCorrupt, fmt::format("a {} frame does not belong here", frame_kind_name(header.kind))};
  }
}

Status RemotePeer::on_rdma(const FrameHeader& header, std::string_view payload) {
  if (!rdma_) return {Code::kCorrupt, "an rdma frame, but there is no rdma here"};
  // It is ended soon, and until then opens nothing more.
  if (fences_.size() > kFencesMax) return {Code::kExhausted, "too many lost connections are not fenced"};
  MC_ASSIGN_OR_RETURN(const RdmaFrame frame, decode_rdma_frame(header.argument));
  if (frame >= RdmaFrame::kOpenLane) {
    if (!lanes_) return {Code::kCorrupt, "a frame about a message lane, which this peer cannot have"};
    if (frame == RdmaFrame::kTurn) return {};  // it was answered
    if (frame == RdmaFrame::kOpenLane && is_taken(header.request_id)) {
      return {Code::kCorrupt, "a message lane with the name of a connection"};
    }
    return lanes_->on_frame(frame, header, payload);
  }
  MC_RETURN_IF_ERROR(rdma_->on_frame(header, payload));
  if (frame == RdmaFrame::kPorts && lanes_) lanes_->on_remote_ports(rdma_->remote_ports());
  decided(false, rdma_->ready());
  return {};
}

Status RemotePeer::on_message(std::string_view transport, const FrameHeader& header, std::string payload) {
  if (header.kind == FrameKind::kRdma) return on_rdma(header, payload);
  if (header.kind == FrameKind::kShmOff) {
    decided(true, false);
    return {};
  }
  on_words(transport, header, std::move(payload));
  return {};
}

/// A call, a notify or a reply.
void RemotePeer::on_words(std::string_view transport, const FrameHeader& header, std::string payload) {
  const std::uint64_t id = header.request_id;
  if (header.kind == FrameKind::kReply) {
    if (header.argument == 0) return calls_.complete(id, std::move(payload));
    return calls_.complete(id, decode_status(header.argument, payload));
  }
  on_asked(transport, header, std::move(payload));
}

void RemotePeer::on_asked(std::string_view transport, const FrameHeader& header, std::string payload) {
  const std::uint64_t id = header.request_id;
  const bool notify = header.kind == FrameKind::kNotify;
  if (!notify) calls_.counters(transport).received();
  if (!answering_.emplace(id, payload.size()).second) {
    return end_soon({Code::kCorrupt, fmt::format("message {} is asked twice", id)});
  }
  answering_bytes_ += payload.size();
  if (answering_.size() > kAnsweringMax || answering_bytes_ > kAnsweringBytesMax) {
    return reply(id, Status(Code::kExhausted, fmt::format("{} calls with {} bytes wait for an answer already",
                                                          answering_.size() - 1, answering_bytes_ - payload.size())));
  }
  // A notify is delivered when its handler lets go of the responder; what it says about it goes nowhere.
  Responder::Send send = [post = hooks_.post_reply, handle = handle_, id, notify](Result<std::string> result) {
    post(handle, id, notify ? std::string() : std::move(result));
  };
  if (!context_.handlers.dispatch(handle_, header.argument, std::move(payload), std::move(send),
                                  context_.callbacks_here())) {
    return reply(id, Status(Code::kUnsupported, fmt::format("{} has no handler for method {}",
                                                            context_.config.node_name, header.argument)));
  }
}

std::byte* RemotePeer::on_bulk(Connection& from, const FrameHeader& header, const BulkRange& range) {
  watch_paths();
  return tcp_->connections().contains(from) ? tcp_->on_bulk(from, header, range) : nullptr;
}

Status RemotePeer::on_bulk_end(Connection& from, const FrameHeader& header, const BulkRange& range) {
  if (!tcp_->connections().contains(from)) return {Code::kCorrupt, "bulk frames do not belong on a unix socket"};
  return tcp_->on_bulk_end(from, header, range);
}

void RemotePeer::on_bulk_sent(Connection& /*from*/, const FrameHeader& header) { tcp_->on_bulk_sent(header); }

Status RemotePeer::lost(std::string_view why) const {
  return {Code::kPeerLost, fmt::format("{} is lost: {}", display_name(), why)};
}

void RemotePeer::on_closed(Connection& from, const Status& reason) {
  // What breaks is lost alone; who breaks the protocol is not to be trusted on any other connection either.
  if (reason.code() != Code::kPeerLost) return end(lost(reason.message()));
  if (shm_ && shm_->owns(from)) return lose_shm(reason);
  lose(from, reason);
}

void RemotePeer::revoke(SegmentHandle segment) {
  if (tcp_) tcp_->revoke(segment);
  if (rdma_) rdma_->revoke(segment);
  if (shm_) shm_->revoke(segment);
}

void RemotePeer::pool_gone(std::uint64_t pool) {
  if (shm_) shm_->pool_gone(pool);
}

void RemotePeer::end_soon(const Status& why) {
  context_.loop->post([weak = weak_from_this(), why] {
    const auto self = weak.lock();
    if (!self || self->state_ != State::kLive) return;
    self->tcp_->close(why, true);  // the peer learns the reason; here it is lost, as others are
    self->end(self->lost(why.message()));
  });
}

void RemotePeer::end(const Status& why) {
  if (state_ == State::kOver) return;
  const std::shared_ptr<RemotePeer> self = shared_from_this();  // the engine drops us in ended()
  const bool was_live = state_ == State::kLive;
  // The connections go first: then no medium touches the memory of the batches that fail next.
  if (lanes_) lanes_->close();
  if (tcp_) tcp_->close(why, true);
  if (shm_) shm_->close(why);
  if (rdma_) rdma_->close();
  state_ = State::kOver;
  messenger_ = nullptr;
  hooks_.ending(handle_, was_live, why);
  calls_.fail_all(why);
  queue_.fail_all(why);
  hooks_.ended(handle_, was_live, why);
}

}  // namespace mooncake::transfer
