#include "transfer/rdma/served_endpoint.h"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>

#include "base/log.h"

namespace mooncake::transfer {
namespace {

/// What a completion is of: the low bits of its id; the ticket is above them.
constexpr std::uint64_t kBound = 0;
constexpr std::uint64_t kInvalidated = 1;
constexpr std::uint64_t kReceived = 2;
constexpr int kWhatBits = 2;

std::uint64_t completion_id(std::uint32_t ticket, std::uint64_t what) {
  return std::uint64_t{ticket} << kWhatBits | what;
}

Status stale() { return {Code::kStale, "the segment was unregistered while it was used"}; }

}  // namespace

ServedEndpoint::ServedEndpoint(Context& context, RdmaHost& host, const RdmaHost::Port& port, PeerHandle peer,
                               Hooks hooks)
    : context_(context), host_(host), port_(port), peer_(peer), hooks_(std::move(hooks)) {}

Result<RdmaEnd> ServedEndpoint::open(const RdmaEnd& opener) {
  const RdmaPort& port = port_.state();
  if (!port.address.up) return Status(Code::kUnavailable, "the RDMA port is down");
  if (port.address.infiniband != opener.address.infiniband) {
    return Status(Code::kUnavailable, "one RDMA port is InfiniBand, the other Ethernet");
  }
  MC_ASSIGN_OR_RETURN(pair_, QueuePair::create(*port_.device, port, *this));
  // Both ends use the smaller of what the two can.
  RdmaEnd peer = opener;
  RdmaEnd ours = pair_->end();
  peer.address.mtu = ours.address.mtu = std::min(peer.address.mtu, ours.address.mtu);
  peer.reads_at_once = ours.reads_at_once = std::min(peer.reads_at_once, ours.reads_at_once);
  MC_RETURN_IF_ERROR(pair_->connect(peer));
  for (std::uint32_t i = 0; i < kEndpointSlicesMax; ++i) {
    if (!pair_->receive(kReceived)) return Status(Code::kExhausted, "rdma: the receive queue is full");
  }
  return ours;
}

void ServedEndpoint::grant(std::uint64_t slice, bool write, const BulkRange& range) {
  if (broken_) return hooks_.done(slice, {Code::kUnavailable, "the RDMA endpoint is broken"}, false);
  if (grants_.size() >= kEndpointSlicesMax) {
    return hooks_.done(slice, {Code::kExhausted, "too many grants at once on one RDMA endpoint"}, true);
  }
  const Result<HeldMemory> at = context_.acquire(range, write ? Access::kWrite : Access::kRead, peer_);
  if (!at.ok()) return hooks_.done(slice, at.status(), false);
  Grant made{.slice = slice,
             .segment = range.segment,
             .memory = {at->at, range.length},
             .write = write,
             .window = {},
             .registration = nullptr};
  last_ticket_ = (last_ticket_ + 1) & ~kTicketMoved;
  if (const Status status = grant(last_ticket_, made); !status.ok()) {
    let_go(made);
    return hooks_.done(slice, status, true);
  }
  const bool bound = made.window.window == nullptr;
  grants_.insert_or_assign(last_ticket_, std::move(made));
  if (bound) on_bound(last_ticket_);
}

/// Registers the memory, and binds a window to it if there are windows for it.
Status ServedEndpoint::grant(std::uint32_t ticket, Grant& grant) {
  const RemoteRight right = grant.write ? RemoteRight::kWrite : RemoteRight::kRead;
  MC_ASSIGN_OR_RETURN(grant.registration, host_.registration(*port_.device, grant.memory, right));
  if (!port_.device->has_windows() || !grant.registration->takes_windows()) {
    grant.window.key = grant.registration->region()->rkey;
    return {};
  }
  MC_RETURN_IF_ERROR(take_window(grant.window));
  // Each use of a window has another key: one that came too late, or was made up, opens nothing.
  const std::uint32_t key = ibv_inc_rkey(grant.window.key);
  if (!pair_->bind(completion_id(ticket, kBound), grant.window.window, key, grant.memory, *grant.registration,
                   grant.write)) {
    return {Code::kUnavailable, "rdma: a memory window could not be bound"};
  }
  grant.window.window->rkey = grant.window.key = key;
  return {};
}

Status ServedEndpoint::take_window(Window& window) {
  if (!windows_.empty()) {
    window = windows_.back();
    windows_.pop_back();
    return {};
  }
  window.window = ibv_alloc_mw(port_.device->domain(), IBV_MW_TYPE_2);
  if (window.window == nullptr) return {Code::kExhausted, fmt::format("rdma: ibv_alloc_mw: {}", errno_text(errno))};
  window.key = window.window->rkey;
  return {};
}

void ServedEndpoint::on_completion(const ibv_wc& completion) {
  if (broken_) return;
  if (completion.status != IBV_WC_SUCCESS) {
    return break_soon({Code::kUnavailable, port_.device->verbs().wc_status_str(completion.status)});
  }
  const auto ticket = static_cast<std::uint32_t>(completion.wr_id >> kWhatBits);
  switch (completion.wr_id & ((1u << kWhatBits) - 1)) {
    case kBound:
      return on_bound(ticket);
    case kInvalidated:
      return on_invalidated(ticket);
    default:
      if ((completion.wc_flags & IBV_WC_WITH_IMM) == 0) return break_soon({Code::kCorrupt, "a ticket is missing"});
      return on_ticket(::ntohl(completion.imm_data));
  }
}

void ServedEndpoint::on_bound(std::uint32_t ticket) {
  Grant& grant = grants_.at(ticket);
  CHECK(grant.state == State::kBinding);
  grant.state = State::kGranted;
  if (!grant.revoked) {
    grant.ticket_out = true;
    const auto address = reinterpret_cast<std::uintptr_t>(grant.memory.data());
    return hooks_.granted(grant.slice, {.address = address, .key = grant.window.key, .ticket = ticket});
  }
  grant.told = true;
  hooks_.done(grant.slice, stale(), false);
  take_back(ticket, grant);
}

void ServedEndpoint::on_ticket(std::uint32_t sent) {
  const auto found = grants_.find(sent & ~kTicketMoved);
  if (found == grants_.end() || !found->second.ticket_out || !pair_->receive(kReceived)) {
    return break_soon({Code::kCorrupt, "a ticket that was not given, or twice"});
  }
  Grant& grant = found->second;
  grant.ticket_out = false;
  // A write whose owner was told that it failed stays failed, though it came in time; a read is done at the other side.
  if ((sent & kTicketMoved) != 0 && !(grant.write && grant.told)) {
    hooks_.moved(grant.memory.size(), grant.write);
    if (grant.write) hooks_.done(grant.slice, grant.registration->settle(), false);
  }
  grant.told = true;
  if (grant.state == State::kRevoked) {
    grants_.erase(found);
  } else if (grant.state == State::kGranted) {
    take_back(found->first, grant);
  }
}

/// Invalidates the window; the rest follows when that is done.
void ServedEndpoint::take_back(std::uint32_t ticket, Grant& grant) {
  grant.state = State::kEnding;
  if (grant.window.window == nullptr) return on_invalidated(ticket);
  if (!pair_->invalidate(completion_id(ticket, kInvalidated), grant.window.key)) {
    break_soon({Code::kUnavailable, "rdma: a memory window could not be invalidated"});
  }
}

void ServedEndpoint::on_invalidated(std::uint32_t ticket) {
  const auto found = grants_.find(ticket);
  CHECK(found != grants_.end() && found->second.state == State::kEnding);
  Grant& grant = found->second;
  let_go(grant);
  grant.state = State::kRevoked;
  if (!grant.ticket_out) {
    grants_.erase(found);
    return;
  }
  // The peer's device would hear of it from ours, but not from every one, or late.
  grant.told = true;
  hooks_.done(grant.slice, stale(), false);
}

/// The device does not touch the range any more.
void ServedEndpoint::let_go(Grant& grant) {
  if (grant.window.window != nullptr) windows_.push_back(grant.window);
  grant.window = {};
  grant.registration.reset();
  context_.segments.release(grant.segment);
}

void ServedEndpoint::revoke(SegmentHandle segment) {
  std::vector<std::uint32_t> tickets;
  bool without_window = false;
  for (auto& [ticket, grant] : grants_) {
    if (grant.segment != segment || grant.revoked) continue;
    grant.revoked = true;
    if (grant.state != State::kGranted) continue;
    tickets.push_back(ticket);
    without_window = without_window || grant.window.window == nullptr;
  }
  if (without_window) return break_soon(stale());
  for (const std::uint32_t ticket : tickets) take_back(ticket, grants_.at(ticket));
}

void ServedEndpoint::on_fault(std::string_view what) { break_soon({Code::kUnavailable, std::string(what)}); }

void ServedEndpoint::break_soon(const Status& why) {
  if (std::exchange(broken_, true)) return;
  context_.loop->post([this, why, alive = std::weak_ptr(alive_)] {
    if (alive.expired()) return;
    const auto broken = hooks_.broken;  // which ends this object
    broken(why);
  });
}

void ServedEndpoint::free_windows() {
  for (const auto& [ticket, grant] : grants_) {
    if (grant.window.window != nullptr) windows_.push_back(grant.window);
  }
  for (const Window& each : windows_) {
    if (ibv_dealloc_mw(each.window) != 0) log_error("transfer: rdma: a memory window could not be freed");
  }
  windows_.clear();
}

void ServedEndpoint::end(bool tell) {
  broken_ = true;
  if (!pair_) return;
  pair_->stop();
  free_windows();  // before the queue pair, which they hold on to
  pair_->close();
  host_.retire(std::move(pair_));
  const Grants grants = std::exchange(grants_, {});
  for (const auto& [ticket, grant] : grants) {
    if (grant.state != State::kRevoked) context_.segments.release(grant.segment);
    if (!tell || grant.told) continue;
    hooks_.done(grant.slice, grant.revoked ? stale() : Status(Code::kUnavailable, "the RDMA endpoint is over"), false);
  }
}

}  // namespace mooncake::transfer
