#include "transfer/remote_peer.h"

#include <fmt/format.h>

#include "base/log.h"

namespace mooncake::transfer {

RemotePeer::RemotePeer(Context& context, PeerHandle handle, PeerName name, Hooks hooks)
    : context_(context),
      handle_(handle),
      name_(std::move(name)),
      hooks_(std::move(hooks)),
      calls_(*context.loop),
      queue_(context, queue_hooks()) {}

SliceQueue::Hooks RemotePeer::queue_hooks() {
  return {
      .choose = [this](const Slice& slice, const Transport* refused) -> Transport* {
        if (shm_ && refused == nullptr && shm_->carries(slice)) return shm_.get();
        if (rdma_ && refused != rdma_.get() && rdma_->carries(slice)) return rdma_.get();
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
      .peer_name = [this]() -> std::string_view { return state_ == State::kConnecting ? name_ : hello_.node_name; },
      .transport_name = [this]() -> std::string_view {
        if (shm_ && shm_->ready()) return "shm";
        return rdma_ && rdma_->ready() ? "rdma" : "tcp";
      },
  };
}

std::string RemotePeer::display_name() const {
  return hello_.node_name.empty() ? name_ : fmt::format("{} at {}", hello_.node_name, name_);
}

bool RemotePeer::wants_shm() const {
  return !context_.hello.shm_socket.empty() && !hello_.shm_socket.empty() && context_.hello.boot_id == hello_.boot_id;
}

void RemotePeer::begin(const Hello& hello, std::shared_ptr<Connection> connection) {
  CHECK(state_ == State::kConnecting);
  state_ = State::kLive;
  hello_ = hello;
  tcp_ = std::make_unique<TcpTransport>(context_, queue_, hello_.node_name);
  add(std::move(connection));
  for (OutFrame& frame : waiting_) tcp_->control().send(std::move(frame));
  waiting_.clear();
  begin_rdma();
  decided(!wants_shm(), !rdma_);
  if (shm_decided_ && rdma_decided_) return;
  context_.loop->post_at(context_.loop->clock().now() + kPathsWait, [weak = weak_from_this()] {
    const auto self = weak.lock();
    if (self && self->state_ == State::kLive) self->decided(true, true);
  });
}

void RemotePeer::begin_rdma() {
  if (!context_.rdma || (hello_.features & kFeatureRdma) == 0) return;
  rdma_ = std::make_unique<RdmaTransport>(context_, *context_.rdma, queue_, hello_.node_name,
                                          [this](const FrameHeader& header, std::string payload) {
                                            tcp_->control().send(OutFrame::make(header, {}, std::move(payload)));
                                          });
}

void RemotePeer::decided(bool shm, bool rdma) {
  shm_decided_ = shm_decided_ || shm;
  rdma_decided_ = rdma_decided_ || rdma;
  if (shm_decided_ && rdma_decided_) queue_.open();
}

void RemotePeer::add(std::shared_ptr<Connection> connection) {
  connection->set_handler(*this);
  tcp_->add(std::move(connection));
}

void RemotePeer::add_shm(std::shared_ptr<Connection> connection) {
  if (shm_) return connection->close({Code::kAlreadyExists, "there is a shm connection already"}, true);
  if (const Result<pid_t> process = peer_process(connection->fd()); !process.ok()) {
    connection->close(process.status(), true);
    return no_shm(true);
  }
  connection->set_handler(*this);
  shm_ = std::make_unique<ShmTransport>(context_, queue_, hello_.node_name, std::move(connection));
}

void RemotePeer::no_shm(bool tell) {
  if (tell) send_message(FrameKind::kShmOff, 0, 0, {});
  decided(true, false);
}

void RemotePeer::send_message(FrameKind kind, std::uint64_t id, std::uint32_t argument, std::string payload) {
  FrameHeader header{.kind = kind, .request_id = id, .argument = argument};
  OutFrame frame = OutFrame::make(header, {}, std::move(payload));
  if (tcp_) {
    tcp_->control().send(std::move(frame));
  } else {
    waiting_bytes_ += frame.bytes();
    waiting_.push_back(std::move(frame));
  }
}

void RemotePeer::call(std::uint16_t method, std::string payload, Deadline deadline, CallCallback done) {
  ask(FrameKind::kCall, ++last_id_, method, std::move(payload), deadline, std::move(done));
}

void RemotePeer::ask(FrameKind kind, std::uint64_t id, std::uint16_t method, std::string payload, Deadline deadline,
                     CallCallback done) {
  if (calls_.full()) {
    return done(Status(Code::kExhausted, fmt::format("{} calls to {} wait for an answer, the most there can be",
                                                     kCallsMax, display_name())));
  }
  if ((tcp_ ? tcp_->control().queued_message_bytes() : waiting_bytes_) > kQueuedMessageBytesMax) {
    return done(Status(Code::kExhausted, fmt::format("{} does not keep up with what is sent to it", display_name())));
  }
  calls_.add(id, deadline, std::move(done));
  send_message(kind, id, method, std::move(payload));
}

void RemotePeer::reply(std::uint64_t request_id, Result<std::string> result) {
  --answering_;
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
    return {Code::kPeerLost, "the peer closed the connection: " + payload.substr(0, kReasonBytesMax)};
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
      on_message(header, std::move(payload));
      return {};
    case FrameKind::kReply:
      if (header.argument == 0) {
        calls_.complete(header.request_id, std::move(payload));
      } else {
        calls_.complete(header.request_id, decode_status(header.argument, payload));
      }
      return {};
    case FrameKind::kRead:
      return tcp_->on_read(from, header, payload);
    case FrameKind::kDone:
      return tcp_->on_done(header, payload);
    case FrameKind::kShmOff:
      decided(true, false);
      return {};
    case FrameKind::kRdma:
      if (!rdma_) return {Code::kCorrupt, "an rdma frame, but there is no rdma here"};
      MC_RETURN_IF_ERROR(rdma_->on_frame(header, payload));
      decided(false, rdma_->ready());
      return {};
    default:
      return {Code::kCorrupt, fmt::format("a {} frame does not belong here", frame_kind_name(header.kind))};
  }
}

void RemotePeer::on_message(const FrameHeader& header, std::string payload) {
  const std::uint64_t id = header.request_id;
  ++answering_;
  if (answering_ > kAnsweringMax) {
    return reply(id, Status(Code::kExhausted, fmt::format("{} calls wait for an answer already", kAnsweringMax)));
  }
  const bool notify = header.kind == FrameKind::kNotify;
  Responder::Send send = [](const Result<std::string>&) {};
  if (!notify) {
    send = [post = hooks_.post_reply, handle = handle_, id](Result<std::string> result) {
      post(handle, id, std::move(result));
    };
  }
  if (!context_.handlers.dispatch(handle_, header.argument, std::move(payload), std::move(send))) {
    return reply(id, Status(Code::kUnsupported, fmt::format("{} has no handler for method {}",
                                                            context_.config.node_name, header.argument)));
  }
  if (notify) reply(id, std::string());  // delivered; what the handler says about it goes nowhere
}

std::byte* RemotePeer::on_bulk(Connection& from, const FrameHeader& header, const BulkRange& range) {
  return tcp_->owns(from) ? tcp_->on_bulk(from, header, range) : nullptr;
}

Status RemotePeer::on_bulk_end(Connection& from, const FrameHeader& header, const BulkRange& range) {
  if (!tcp_->owns(from)) return {Code::kCorrupt, "bulk frames do not belong on a unix socket"};
  return tcp_->on_bulk_end(from, header, range);
}

void RemotePeer::on_bulk_sent(Connection& /*from*/, const FrameHeader& header) { tcp_->on_bulk_sent(header); }

void RemotePeer::on_closed(Connection& /*from*/, const Status& reason) {
  end(Status(Code::kPeerLost, fmt::format("{} is lost: {}", display_name(), reason.message())));
}

void RemotePeer::revoke(SegmentHandle segment) {
  if (tcp_) tcp_->revoke(segment);
  if (rdma_) rdma_->revoke(segment);
  if (shm_) shm_->revoke(segment);
}

void RemotePeer::pool_gone(std::uint64_t pool) {
  if (shm_) shm_->pool_gone(pool);
}

void RemotePeer::end(const Status& why) {
  if (state_ == State::kOver) return;
  const std::shared_ptr<RemotePeer> self = shared_from_this();  // the engine drops us in ended()
  const bool was_live = state_ == State::kLive;
  // The connections go first: then no medium touches the memory of the batches that fail next.
  if (tcp_) tcp_->close(why, true);
  if (shm_) shm_->close(why);
  if (rdma_) rdma_->close();
  state_ = State::kOver;
  waiting_.clear();
  calls_.fail_all(why);
  queue_.fail_all(why);
  hooks_.ended(handle_, was_live, why);
}

}  // namespace mooncake::transfer
