#include "transfer/rdma/lane_keeper.h"

#include <fmt/format.h>

#include "base/log.h"
#include "base/rng.h"

namespace mooncake::transfer {

LaneKeeper::LaneKeeper(Context& context, RdmaHost& host, const Hello& theirs, const std::string& label, User& user)
    : context_(context),
      host_(host),
      theirs_(theirs),
      user_(user),
      opens_(context.hello.epoch > theirs.epoch),
      counters_(context.stats.paths, label, "rdma", host.port_names()) {
  host_.add(*this);
}

void LaneKeeper::close() {
  host_.remove(*this);
  alive_.reset();
  let_go();
}

/// The lane may be in the middle of a report.
void LaneKeeper::let_go() {
  if (!lane_) return;
  lane_->close();
  host_.free_place(std::exchange(place_, 0));
  id_ = 0;
  context_.loop->post([lane = std::move(lane_)] {});
}

void LaneKeeper::lose(const Status& why) {
  if (!lane_) return;
  const std::uint64_t id = id_;
  log_debug("transfer: a message lane to {} is lost: {}", theirs_.node_name, why.message());
  if (lane_->connected()) counters_[at_.local].connection_lost();
  let_go();
  if (opens_) try_later();
  user_.on_lane_lost(id, why);
}

// --- Ports.

void LaneKeeper::on_remote_ports(const std::vector<RdmaAddress>& ports) {
  if (remote_ == ports) return;  // so that no pause is skipped
  const bool changed = lane_ && opens_ && remote_[at_.remote] != ports[at_.remote];
  remote_ = ports;
  if (changed) lose({Code::kUnavailable, "the peer's RDMA port has changed"});
  try_open();
}

void LaneKeeper::on_ports_changed() {
  if (lane_ && !host_.ports()[at_.local].state().address.up) lose({Code::kUnavailable, "the RDMA port is down"});
  try_open();
}

// --- The end that opens.

void LaneKeeper::try_open() {
  if (!opens_ || lane_ || alive_ == nullptr) return;
  const std::optional<LaneChoice> at = choose_lane(host_.addresses(), remote_, attempt_);
  if (!at.has_value()) return;  // until a port changes
  if (const Status status = open(*at); !status.ok()) {
    log_debug("transfer: no message lane to {}: {}", theirs_.node_name, status.message());
    try_later();
  }
}

/// Never another's: of more peers than there are places the lanes would take turns, and none would last.
Result<std::uint64_t> LaneKeeper::take_place() {
  if (host_.full()) return Status(Code::kExhausted, fmt::format("{} RDMA endpoints are open", kEndpointsOpenMax));
  return host_.take_place(*this);
}

Status LaneKeeper::open(const LaneChoice& at) {
  MC_ASSIGN_OR_RETURN(const std::uint64_t place, take_place());
  auto lane = std::make_unique<MessageLane>(host_, *context_.loop, static_cast<MessageLane::User&>(*this));
  const Result<RdmaEnd> end = lane->open(host_.ports()[at.local]);
  if (!end.ok()) {
    host_.free_place(place);
    return end.status();
  }
  lane_ = std::move(lane);
  place_ = place;
  id_ = random_seed() | 1;  // never 0
  at_ = at;
  asked_ = encode_rdma_open({.opener = *end, .port = static_cast<std::uint32_t>(at.remote)});
  user_.send_lane_frame(RdmaFrame::kOpenLane, id_, asked_, Code::kOk);
  return {};
}

void LaneKeeper::try_later() {
  ++attempt_;
  const std::optional<Millis> pause = redials_.on_lost(0);
  if (!pause.has_value()) return;
  context_.loop->post_at(context_.loop->clock().now() + *pause, [this, alive = std::weak_ptr(alive_)] {
    if (alive.expired()) return;
    redials_.on_due(0);
    try_open();
  });
}

Status LaneKeeper::on_opened(std::uint64_t id, std::string_view payload) {
  MC_ASSIGN_OR_RETURN(const RdmaEnd end, decode_rdma_end(as_bytes(payload)));
  if (!lane_ || id != id_ || !opens_) return {};  // it was given up meanwhile
  if (lane_->connected()) return {Code::kCorrupt, "a message lane that was opened twice"};
  MC_RETURN_IF_ERROR(seal(payload));
  const Status status = lane_->connect(end);
  if (status.code() == Code::kCorrupt) return status;
  if (!status.ok()) {
    lose(status);
  }
  return {};
}

// --- The other end.

Status LaneKeeper::on_open(std::uint64_t id, std::string_view payload) {
  MC_ASSIGN_OR_RETURN(const RdmaOpen open, decode_rdma_open(as_bytes(payload)));
  if (opens_ || id == 0 || id == id_ || open.port >= host_.ports().size()) {
    return {Code::kCorrupt, "a message lane that is there already, or on no port"};
  }
  if (user_.knows_fenced(id)) return {};  // that overtook this
  lose({Code::kUnavailable, "the peer opens another"});
  const Result<std::string> opened = serve(open, id, payload);
  if (opened.ok()) {
    user_.send_lane_frame(RdmaFrame::kLaneOpened, id, *opened, Code::kOk);
  } else {
    const Status& why = opened.status();
    user_.send_lane_frame(RdmaFrame::kLaneRefused, id, why.message().substr(0, kReasonBytesMax), why.code());
  }
  return {};
}

Result<std::string> LaneKeeper::serve(const RdmaOpen& open, std::uint64_t id, std::string_view asked) {
  MC_ASSIGN_OR_RETURN(const std::uint64_t place, take_place());
  lane_ = std::make_unique<MessageLane>(host_, *context_.loop, static_cast<MessageLane::User&>(*this));
  place_ = place;
  id_ = id;
  at_ = {.local = open.port};
  asked_ = asked;
  const Result<RdmaEnd> end = lane_->serve(host_.ports()[open.port], open.opener);
  const std::string opened = end.ok() ? encode_rdma_end(*end) : std::string();
  const Status status = end.ok() ? seal(opened) : end.status();
  if (status.ok()) return opened;
  let_go();
  return status;
}

// --- Both.

/// With AuthMode::kMac frames carry MACs here as everywhere. The two payloads came over sealed connections, and the
/// lane's name is random, so its keys are its own (auth/session.h).
Status LaneKeeper::seal(std::string_view opened) {
  if (!context_.credentials.keys.has_value()) return {};
  // Who dialled whom was settled when the connections were made.
  MC_ASSIGN_OR_RETURN(const std::string key, context_.credentials.keys->key_for(theirs_.tenant, false));
  const Session session = derive_session(as_bytes(key), fmt::format("message lane {:016x} opened {}", id_, asked_),
                                         fmt::format("message lane {:016x} served {}", id_, opened));
  const Session::Side& ours = opens_ ? session.dialer : session.accepter;
  const Session::Side& theirs = opens_ ? session.accepter : session.dialer;
  lane_->seal(ours.key, theirs.key);
  return {};
}

void LaneKeeper::on_lane_ready() {
  redials_.on_made(0);
  log_debug("transfer: messages to {} go over RDMA; up to {} bytes inline", theirs_.node_name, lane_->inline_max());
  user_.on_lane_up();
}

void LaneKeeper::send(OutFrame frame) {
  CHECK(lane_);
  host_.use_place(place_);
  lane_->send(std::move(frame));
}

Status LaneKeeper::on_lane_frame(const FrameHeader& header, std::string payload) {
  return user_.on_lane_message(header, std::move(payload));
}

Status LaneKeeper::on_frame(RdmaFrame frame, const FrameHeader& header, std::string_view payload) {
  switch (frame) {
    case RdmaFrame::kOpenLane:
      return on_open(header.request_id, payload);
    case RdmaFrame::kLaneOpened:
      return on_opened(header.request_id, payload);
    case RdmaFrame::kLaneRefused:
      if (header.request_id == id_ && opens_) {
        const Status why = decode_rdma_status(header.argument, payload);
        lose({Code::kUnavailable, why.message()});
      }
      return {};
    default:
      return {Code::kCorrupt, "not a frame about message lanes"};
  }
}

}  // namespace mooncake::transfer
