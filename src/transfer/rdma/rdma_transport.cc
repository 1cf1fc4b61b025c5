#include "transfer/rdma/rdma_transport.h"

#include <fmt/format.h>

#include "base/log.h"

namespace mooncake::transfer {
namespace {

bool is_write(const Slice& slice) { return slice.op == TransferRequest::Op::kWrite; }

Status given_up() { return {Code::kCancelled, "given up"}; }

}  // namespace

RdmaTransport::RdmaTransport(Context& context, RdmaHost& host, SliceQueue& queue, PeerHandle handle, std::string peer,
                             Send send)
    : context_(context),
      host_(host),
      queue_(queue),
      peer_(std::move(peer)),
      counters_(context.stats.paths, peer_, "rdma", host.port_names()),
      send_(std::move(send)),
      server_(context, host, handle, peer_,
              [this](RdmaFrame frame, std::uint64_t id, Code code, std::string payload, std::uint16_t flags) {
                this->send(frame, id, std::move(payload), code, flags);
              }),
      rails_(context.distances(), host.device_names()) {
  host_.add(*this);
  tell_ports();
}

RdmaTransport::~RdmaTransport() { close(); }

void RdmaTransport::close() {
  host_.remove(*this);
  for (const auto& [id, endpoint] : endpoints_) {
    endpoint->close();
    host_.free_place(id);
  }
  endpoints_.clear();
  moves_.clear();
  server_.close();
}

void RdmaTransport::send(RdmaFrame frame, std::uint64_t id, std::string payload, Code code, std::uint16_t flags) {
  send_({.kind = FrameKind::kRdma, .flags = flags, .request_id = id, .argument = rdma_argument(frame, code)},
        std::move(payload));
}

// --- Ports.

Status RdmaTransport::on_ports(ConstByteSpan payload) {
  MC_ASSIGN_OR_RETURN(std::vector<RdmaAddress> ports, decode_rdma_ports(payload));
  const std::vector<RdmaAddress> before = rails_.remote();
  MC_RETURN_IF_ERROR(rails_.set_remote(std::move(ports)));
  fail_endpoints([&](const RdmaRails::Rail& rail) { return before[rail.remote] != rails_.remote()[rail.remote]; },
                 {Code::kUnavailable, "the peer's port has changed"});
  return {};
}

void RdmaTransport::on_ports_changed() {
  tell_ports();
  server_.on_ports_changed();
  fail_endpoints([this](const RdmaRails::Rail& rail) { return !host_.ports()[rail.local].state().address.up; },
                 {Code::kUnavailable, "the port is down"});
}

void RdmaTransport::tell_ports() {
  rails_.set_local(host_.addresses());
  send(RdmaFrame::kPorts, 0, encode_rdma_ports(host_.addresses()));
}

// --- Endpoints.

bool RdmaTransport::idle(std::uint64_t endpoint) const { return endpoints_.at(endpoint)->slices == 0; }

OpenedEndpoint::Hooks RdmaTransport::endpoint_hooks(std::uint64_t endpoint) {
  return {.moved = [this](std::uint64_t slice) { on_moved(slice); },
          .failed =
              [this, endpoint](const Status& why) {
                log_info("transfer: an RDMA endpoint to {} failed: {}", peer_, why.message());
                fail_endpoint(endpoint, why);
              }};
}

Result<OpenedEndpoint*> RdmaTransport::endpoint_on(RailId rail) {
  RdmaRails::Rail& on = rails_[rail];
  if (on.endpoint != 0) return endpoints_.at(on.endpoint).get();
  MC_ASSIGN_OR_RETURN(const std::uint64_t id, host_.take_place(*this));
  auto made = std::make_unique<OpenedEndpoint>(host_, *context_.loop, rail, endpoint_hooks(id));
  const Result<RdmaEnd> end = made->open(host_.ports()[on.local]);
  if (!end.ok()) {
    host_.free_place(id);
    return end.status();
  }
  on.endpoint = id;
  OpenedEndpoint* const endpoint = made.get();
  endpoints_[id] = std::move(made);
  send(RdmaFrame::kOpen, id, encode_rdma_open({.opener = *end, .port = static_cast<std::uint32_t>(on.remote)}));
  return endpoint;
}

Status RdmaTransport::on_opened(std::uint64_t id, ConstByteSpan payload) {
  MC_ASSIGN_OR_RETURN(const RdmaEnd end, decode_rdma_end(payload));
  const auto found = endpoints_.find(id);
  if (found == endpoints_.end()) return {};  // it failed here meanwhile
  const Status status = found->second->connect(end);
  if (status.code() == Code::kCorrupt) return status;
  if (!status.ok()) {
    fail_endpoint(id, status);
    return {};
  }
  for (const std::uint64_t slice : std::exchange(found->second->waiting, {})) {
    const auto move = moves_.find(slice);
    if (move != moves_.end() && move->second.endpoint == id) ask(slice, move->second);
  }
  return {};
}

/// The rail cools down, unless it was the range that failed.
void RdmaTransport::fail_endpoint(std::uint64_t id, const Status& why) {
  if (!endpoints_.contains(id)) return;
  const bool rail_failed = why.code() != Code::kStale;
  if (rail_failed) {
    const RailId rail = endpoints_.at(id)->rail();
    counters_of(rail).connection_lost();
    rails_.fail(rail, context_.loop->clock().now());
  }
  close_endpoint(id, rail_failed);
}

void RdmaTransport::fail_endpoints(const std::function<bool(const RdmaRails::Rail&)>& match, const Status& why) {
  std::vector<std::uint64_t> failed;
  for (const RdmaRails::Rail& rail : rails_.all()) {
    if (rail.endpoint != 0 && match(rail)) failed.push_back(rail.endpoint);
  }
  for (const std::uint64_t id : failed) {
    log_info("transfer: an RDMA endpoint to {} ends: {}", peer_, why.message());
    counters_of(endpoints_.at(id)->rail()).connection_lost();
    close_endpoint(id, false);  // a port that comes back may be used at once
  }
}

void RdmaTransport::close_endpoint(std::uint64_t id, bool rail_failed) {
  const auto found = endpoints_.find(id);
  if (found == endpoints_.end()) return;
  std::unique_ptr<OpenedEndpoint> endpoint = std::move(found->second);
  endpoints_.erase(found);
  rails_[endpoint->rail()].endpoint = 0;
  host_.free_place(id);
  endpoint->close();                                         // from here on no device touches the memory of its slices
  context_.loop->post([endpoint = std::move(endpoint)] {});  // this may be inside a call of it
  send(RdmaFrame::kClose, id);
  std::vector<std::uint64_t> lost;
  for (const auto& [slice, move] : moves_) {
    if (move.endpoint == id) lost.push_back(slice);
  }
  for (const std::uint64_t slice : lost) lose(slice, rail_failed);
}

/// The slice's endpoint is gone.
void RdmaTransport::lose(std::uint64_t id, bool rail_failed) {
  const auto found = moves_.find(id);
  if (found == moves_.end()) return;
  Move& move = found->second;
  const State before = std::exchange(move.state, State::kLost);
  leave_rail(move, rail_failed ? Verdict::kFailed : Verdict::kNone);
  if (!rail_failed) move.tried.reset(static_cast<std::size_t>(move.rail));
  if (before == State::kOpening) return try_again(id);  // the owner knows nothing of it
  if (move.outcome.has_value()) return finish(id, Status(*move.outcome));
  if (before != State::kMoving || !move.given_up) return;
  if (is_write(move.slice)) return queue_.on_slice_let_go(SliceId{id});  // the owner says when its last bytes are in
  move.reported = true;
  queue_.on_slice_done(SliceId{id}, given_up());
}

// --- Slices.

void RdmaTransport::start(SliceId id, const Slice& slice) {
  const auto key = static_cast<std::uint64_t>(id);
  Move& move = moves_[key];
  move.slice = slice;
  if (try_start(key, move)) return;
  context_.loop->post([this, key, alive = std::weak_ptr(alive_)] {
    if (!alive.expired()) refuse(key);
  });
}

/// Begins the slice on a rail that it has not been on. False: there is none, or the memory cannot be registered.
bool RdmaTransport::try_start(std::uint64_t id, Move& move) {
  const std::size_t bytes = move.slice.local.size();
  const Result<RailId> rail = rails_.start(bytes, move.slice.location, move.tried, context_.loop->clock().now());
  if (!rail.ok()) return false;
  if (!enter(*rail, move)) {
    rails_.leave(*rail, bytes, Verdict::kNone, context_.loop->clock().now());
    return false;
  }
  queue_.on_slice_path(SliceId{id}, counters_of(*rail));
  OpenedEndpoint& endpoint = *endpoints_.at(move.endpoint);
  if (endpoint.connected()) {
    ask(id, move);
  } else {
    move.state = State::kOpening;
    endpoint.waiting.push_back(id);
  }
  return true;
}

bool RdmaTransport::enter(RailId rail, Move& move) {
  Result<RegistrationPtr> registration =
      host_.registration(*host_.ports()[rails_[rail].local].device, move.slice.local);
  if (!registration.ok()) return false;
  const Result<OpenedEndpoint*> endpoint = endpoint_on(rail);
  if (!endpoint.ok()) {
    log_debug("transfer: no RDMA endpoint to {}: {}", peer_, endpoint.status().to_string());
    return false;
  }
  move.registration = std::move(*registration);
  move.rail = rail;
  move.endpoint = rails_[rail].endpoint;
  move.tried.set(static_cast<std::size_t>(rail));
  ++move.tries;
  ++(*endpoint)->slices;
  host_.use_place(move.endpoint);
  return true;
}

void RdmaTransport::ask(std::uint64_t id, Move& move) {
  move.state = State::kAsking;
  send(is_write(move.slice) ? RdmaFrame::kGrantWrite : RdmaFrame::kGrantRead, id,
       encode_rdma_grant({.range = move.slice.remote, .endpoint = move.endpoint}));
}

Status RdmaTransport::on_granted(std::uint64_t id, ConstByteSpan payload) {
  MC_ASSIGN_OR_RETURN(const RdmaGranted granted, decode_rdma_granted(payload));
  const auto found = moves_.find(id);
  if (found == moves_.end()) return {Code::kCorrupt, "an RDMA grant that was not asked for"};
  Move& move = found->second;
  if (move.state == State::kLost) return {};  // done follows
  if (move.state != State::kAsking) return {Code::kCorrupt, "an RDMA grant that was not asked for"};
  OpenedEndpoint& endpoint = *endpoints_.at(move.endpoint);
  move.granted = granted;
  if (move.given_up) {
    endpoint.give_back(granted, false);
    leave_rail(move, Verdict::kNone);
    moves_.erase(found);
    return {};
  }
  move.state = State::kMoving;
  endpoint.move(id, move.slice, *move.registration, granted);
  return {};
}

void RdmaTransport::on_moved(std::uint64_t id) {
  const auto found = moves_.find(id);
  CHECK(found != moves_.end() && found->second.state == State::kMoving);
  Move& move = found->second;
  if (!is_write(move.slice)) {
    endpoints_.at(move.endpoint)->give_back(move.granted, true);
    return finish(id, move.given_up ? Status() : move.registration->settle());
  }
  if (move.outcome.has_value() || move.given_up) return finish(id, {});
  move.state = State::kConfirming;
}

Status RdmaTransport::on_done(std::uint64_t id, const Status& status, bool other_transport) {
  const auto found = moves_.find(id);
  if (found == moves_.end()) return {};  // it was reported before
  Move& move = found->second;
  if (move.state == State::kLost) return on_lost_done(id, status);
  if (move.state == State::kAsking && !status.ok()) {
    if (move.given_up || (!other_transport && status.code() != Code::kUnavailable)) {
      finish(id, status);
    } else if (other_transport) {
      refuse(id);
    } else {
      leave_rail(move, Verdict::kFailed);
      try_again(id);
    }
    return {};
  }
  const bool possible = move.state == State::kMoving || move.state == State::kConfirming;
  if (!possible || move.outcome.has_value() || (status.ok() && !is_write(move.slice))) {
    return {Code::kCorrupt, "an RDMA grant that is over was ended again"};
  }
  move.outcome = status;
  if (move.state == State::kConfirming) {
    finish(id, status);
  } else if (!status.ok()) {
    fail_endpoint(move.endpoint, status);  // the operation can only fail, and until then it holds the local memory
  }
  return {};
}

/// Nothing of the slice can touch the range any more.
Status RdmaTransport::on_lost_done(std::uint64_t id, const Status& status) {
  const Move& move = moves_.at(id);
  if (status.ok() && !is_write(move.slice)) return {Code::kCorrupt, "an RDMA read was answered"};
  if (!status.ok() && status.code() == Code::kUnavailable && !move.given_up) {
    try_again(id);
  } else {
    finish(id, status);
  }
  return {};
}

void RdmaTransport::leave_rail(Move& move, Verdict verdict) {
  if (move.endpoint == 0) return;
  const auto found = endpoints_.find(std::exchange(move.endpoint, 0));
  if (found != endpoints_.end()) --found->second->slices;
  rails_.leave(move.rail, move.slice.local.size(), verdict, context_.loop->clock().now());
}

void RdmaTransport::try_again(std::uint64_t id) {
  Move& move = moves_.at(id);
  counters_of(move.rail).retried();
  if (move.tries >= kRdmaTriesMax || !try_start(id, move)) refuse(id);
}

void RdmaTransport::refuse(std::uint64_t id) {
  const auto found = moves_.find(id);
  if (found == moves_.end()) return;
  leave_rail(found->second, Verdict::kNone);
  moves_.erase(found);
  queue_.on_slice_refused(SliceId{id});
}

void RdmaTransport::finish(std::uint64_t id, const Status& status) {
  const auto found = moves_.find(id);
  leave_rail(found->second, status.ok() ? Verdict::kDone : Verdict::kNone);
  const bool report = !found->second.reported;
  moves_.erase(found);
  if (report) queue_.on_slice_done(SliceId{id}, status);
}

Abandoned RdmaTransport::abandon(SliceId id, const Slice& /*slice*/) {
  const auto found = moves_.find(static_cast<std::uint64_t>(id));
  CHECK(found != moves_.end());
  Move& move = found->second;
  move.given_up = true;
  switch (move.state) {
    case State::kMoving:
      return Abandoned::kHeld;
    case State::kConfirming:
      return Abandoned::kLetGo;
    case State::kLost:
      if (is_write(move.slice)) return Abandoned::kLetGo;  // its last bytes may still be on their way to the owner
      move.reported = true;
      return Abandoned::kForgotten;
    case State::kOpening:
      leave_rail(move, Verdict::kNone);
      moves_.erase(found);
      return Abandoned::kForgotten;
    case State::kAsking:
      move.reported = true;
      return Abandoned::kForgotten;
  }
  return Abandoned::kForgotten;
}

Status RdmaTransport::on_frame(const FrameHeader& header, std::string_view payload) {
  MC_ASSIGN_OR_RETURN(const RdmaFrame frame, decode_rdma_frame(header.argument));
  const std::uint64_t id = header.request_id;
  const ConstByteSpan bytes = as_bytes(payload);
  switch (frame) {
    case RdmaFrame::kPorts:
      return on_ports(bytes);
    case RdmaFrame::kOpen:
      return server_.on_open(id, bytes);
    case RdmaFrame::kOpened:
      return on_opened(id, bytes);
    case RdmaFrame::kClose:
      return server_.on_close(id);
    case RdmaFrame::kBroken:
      fail_endpoint(id, decode_rdma_status(header.argument, payload));
      return {};
    case RdmaFrame::kGrantRead:
      return server_.on_grant(id, false, bytes);
    case RdmaFrame::kGrantWrite:
      return server_.on_grant(id, true, bytes);
    case RdmaFrame::kGranted:
      return on_granted(id, bytes);
    case RdmaFrame::kDone:
      return on_done(id, decode_rdma_status(header.argument, payload), (header.flags & kFlagOtherTransport) != 0);
    case RdmaFrame::kOpenLane:
    case RdmaFrame::kLaneOpened:
    case RdmaFrame::kLaneRefused:
    case RdmaFrame::kTurn:
      break;
  }
  return {Code::kCorrupt, "not a frame about bulk"};
}

}  // namespace mooncake::transfer
