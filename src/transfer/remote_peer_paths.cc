// How a RemotePeer goes on when one of its connections is lost. See remote_peer.h.
#include <fmt/format.h>

#include <algorithm>

#include "base/log.h"
#include "transfer/remote_peer.h"

namespace mooncake::transfer {

void RemotePeer::lose(Connection& connection, const Status& why) {
  const std::shared_ptr<RemotePeer> self = shared_from_this();  // the engine may drop us in end()
  const Link link = tcp_->lose(connection);
  CHECK(link.id != 0);
  if (tcp_->connections().size() == 0) return end(lost(why.message()));
  tcp_->counters(link.rail).connection_lost();
  log_debug("transfer: a connection to {} is lost: {}", display_name(), why.message());
  if (messenger_ == &connection) {
    route_.tcp_lost();
    messenger_ = nullptr;
    messenger_fence_ = link.id;
    messenger_avoids_ = link.rail;
  }
  fence(link.id, link.rail);
  if (link.dialled) hooks_.connection_lost(handle_, link.rail);
}

/// The peer may be copying from our memory: what it was asked to copy goes by tcp when it has stopped.
void RemotePeer::lose_shm(const Status& why) {
  log_warn("transfer: no shm with {} any more: {}", display_name(), why.message());
  shm_->counters().connection_lost();
  shm_->stop(why);
  decided(true, false);
  fence(shm_link_, kOffRails);
}

void RemotePeer::fence(std::uint64_t connection_id, std::uint8_t rail) {
  fences_.insert(connection_id);
  if (fences_.size() > kFencesMax) {
    return end_soon({Code::kExhausted, fmt::format("the peer has not fenced {} lost connections", fences_.size())});
  }
  send_fences(rail);  // those before, too: they may have gone by this connection
}

void RemotePeer::send_fences(std::uint8_t avoid_rail) {
  Connection& carrier = tcp_->connections().steady(avoid_rail);
  for (const std::uint64_t id : fences_) {
    carrier.send(OutFrame::make({.kind = FrameKind::kFence, .request_id = id}));
  }
  watch_paths();
}

OutFrame RemotePeer::count_frame(FrameKind kind, std::uint64_t id) const {
  std::array<std::byte, 8> count;
  store_le(count.data(), heard_.total());
  return OutFrame::make({.kind = kind, .request_id = id}, count);
}

Status RemotePeer::on_fence(Connection& from, std::uint64_t connection_id) {
  const Status why(Code::kPeerLost, "the peer has given it up");
  const std::uint64_t landed_on = connection_id == shm_link_ ? kShmLandings : connection_id;
  if (Connection* lost = tcp_->connections().find(connection_id)) {
    if (lost == &from) return {Code::kCorrupt, "a connection cannot fence itself"};
    lost->close(why, false);
    lose(*lost, why);
  } else if (connection_id == shm_link_) {
    if (shm_ && shm_->open()) lose_shm(why);
  } else if (lanes_ && connection_id == lanes_->id()) {
    lanes_->lose({Code::kUnavailable, why.message()});
  } else if (!fences_.contains(connection_id)) {
    unknown_.push_back(connection_id);
    if (unknown_.size() > kFencedUnknownMax) unknown_.pop_front();
  }
  if (!landings_.busy(landed_on)) {
    send_count(from, FrameKind::kFenced, connection_id);
    return {};
  }
  // What came on it is being copied to a device: it may not be overtaken by what takes its place.
  landings_.when_quiet(landed_on, [this, connection_id] {
    if (state_ == State::kLive) send_count(tcp_->connections().steady(), FrameKind::kFenced, connection_id);
  });
  return {};
}

Status RemotePeer::on_fenced(std::uint64_t connection_id, std::string_view payload) {
  MC_ASSIGN_OR_RETURN(const std::uint64_t heard, decode_count(as_bytes(payload)));
  if (fences_.erase(connection_id) == 0) return {};  // asked twice
  if (connection_id == messenger_fence_) {
    MC_RETURN_IF_ERROR(to_send_.acknowledged(heard));
    to_send_.rewind();
    messenger_fence_ = 0;
    to_tcp(messenger_avoids_);
  }
  tcp_->begin_again(connection_id);
  if (shm_ && connection_id == shm_link_) {
    const std::unique_ptr<ShmTransport> over = std::move(shm_);
    over->close({Code::kPeerLost, "the peer has stopped copying"});
    queue_.begin_again(*over);
  }
  return {};
}

// --- Message lanes.

/// Nothing is on any carrier. A lane that came up meanwhile is next.
void RemotePeer::to_tcp(std::uint8_t avoid_rail) {
  messenger_ = &tcp_->connections().steady(avoid_rail);
  route_.to_tcp();
  send_messages();
  if (lanes_ && lanes_->up()) on_lane_up();
}

void RemotePeer::send_lane_frame(RdmaFrame frame, std::uint64_t lane, std::string payload, Code code) {
  send_message(FrameKind::kRdma, lane, rdma_argument(frame, code), std::move(payload));
}

void RemotePeer::on_lane_up() {
  if (route_.carrier() != MessageRoute::Carrier::kTcp) return;  // to_tcp() follows
  send_message(FrameKind::kRdma, lanes_->id(), rdma_argument(RdmaFrame::kTurn), {});
  route_.turn();
}

Status RemotePeer::on_ack(std::string_view payload) {
  MC_ASSIGN_OR_RETURN(const std::uint64_t count, decode_count(as_bytes(payload)));
  MC_RETURN_IF_ERROR(to_send_.acknowledged(count));
  if (!to_send_.settled() || !route_.settled()) return {};
  messenger_ = nullptr;
  send_messages();
  return {};
}

Status RemotePeer::on_lane_message(const FrameHeader& header, std::string payload) {
  const std::shared_ptr<RemotePeer> self = shared_from_this();  // the engine may drop us in end()
  switch (header.kind) {
    case FrameKind::kCall:
    case FrameKind::kNotify:
    case FrameKind::kReply:
    case FrameKind::kShmOff:
    case FrameKind::kRdma:
      if (heard_.arrived(payload.size())) lanes_->send(count_frame(FrameKind::kAck, 0));
      return on_message("rdma", header, std::move(payload));
    case FrameKind::kAck:
      return on_ack(payload);
    default:
      return {Code::kCorrupt,
              fmt::format("a {} frame does not belong on a message lane", frame_kind_name(header.kind))};
  }
}

void RemotePeer::on_lane_lost(std::uint64_t lane, const Status& why) {
  const bool carried = route_.lane_lost();
  if (why.code() != Code::kUnavailable) return end_soon(why);  // whoever breaks the protocol is not to be trusted
  if (carried) {
    messenger_fence_ = lane;
    messenger_avoids_ = kOffRails;
  }
  fence(lane, kOffRails);
  send_messages();  // that waited for it
}

bool RemotePeer::knows_fenced(std::uint64_t lane) const { return std::ranges::find(unknown_, lane) != unknown_.end(); }

void RemotePeer::watch_paths() {
  if (watching_ || state_ != State::kLive) return;
  watching_ = true;
  context_.loop->post_at(context_.loop->clock().now() + kPathCheck, [weak = weak_from_this()] {
    const auto self = weak.lock();
    if (self && self->state_ == State::kLive) self->check_paths();
  });
}

void RemotePeer::check_paths() {
  watching_ = false;
  const ConnectionSet::Check check = tcp_->connections().check(context_.loop->clock().now());
  if (check.silence_min >= kPeerSilence) {
    return end(lost(fmt::format("it has acknowledged nothing for {} ms", kPeerSilence.count())));
  }
  const Status why(Code::kPeerLost, fmt::format("nothing was acknowledged for {} ms", kRailSilence.count()));
  for (const std::shared_ptr<Connection>& silent : check.silent) {
    if (state_ != State::kLive) return;
    if (!tcp_->connections().contains(*silent)) continue;  // it went with one before
    silent->close(why, false);
    lose(*silent, why);
  }
  if (state_ == State::kLive && (check.waiting || tcp_->busy())) watch_paths();
}

}  // namespace mooncake::transfer
