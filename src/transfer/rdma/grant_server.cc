#include "transfer/rdma/grant_server.h"

#include <fmt/format.h>

#include <vector>

#include "base/log.h"

namespace mooncake::transfer {

GrantServer::GrantServer(Context& context, RdmaHost& host, PeerHandle handle, std::string peer, Send send)
    : context_(context),
      host_(host),
      handle_(handle),
      peer_(std::move(peer)),
      counters_(context.stats.paths, peer_, "rdma", host.port_names()),
      send_(std::move(send)) {}

ServedEndpoint::Hooks GrantServer::hooks(std::uint64_t endpoint, std::size_t port) {
  return {
      .granted =
          [this](std::uint64_t slice, const RdmaGranted& granted) {
            send_(RdmaFrame::kGranted, slice, Code::kOk, encode_rdma_granted(granted), 0);
          },
      .done = [this](std::uint64_t slice, const Status& status,
                     bool other_transport) { say_done(slice, status, other_transport); },
      .moved = [this, port](std::size_t bytes, bool written) { counters_[port].served(!written, bytes); },
      .broken = [this, endpoint](const Status& why) { refuse(endpoint, why); },
  };
}

void GrantServer::say_done(std::uint64_t slice, const Status& status, bool other_transport) {
  send_(RdmaFrame::kDone, slice, status.code(), status.message().substr(0, kReasonBytesMax),
        other_transport ? kFlagOtherTransport : 0);
}

/// The opener lets go of what it moves through the endpoint before it hears of the single grants.
void GrantServer::refuse(std::uint64_t endpoint, const Status& why) {
  log_debug("transfer: an RDMA endpoint of {} ends: {}", peer_, why.to_string());
  send_(RdmaFrame::kBroken, endpoint, why.code(), why.message().substr(0, kReasonBytesMax), 0);
  end(endpoint);
}

void GrantServer::end(std::uint64_t endpoint) {
  const auto found = served_.find(endpoint);
  if (found == served_.end()) return;
  const std::unique_ptr<ServedEndpoint> served = std::move(found->second);
  served_.erase(found);
  served->end(true);
}

Status GrantServer::on_open(std::uint64_t endpoint, ConstByteSpan payload) {
  MC_ASSIGN_OR_RETURN(const RdmaOpen open, decode_rdma_open(payload));
  if (endpoint == 0 || served_.contains(endpoint) || open.port >= host_.ports().size()) {
    return {Code::kCorrupt, "an RDMA endpoint that is there already, or on no port"};
  }
  if (served_.size() >= kEndpointsServedMax) {
    refuse(endpoint, {Code::kExhausted, fmt::format("{} RDMA endpoints are open", kEndpointsServedMax)});
    return {};
  }
  auto served =
      std::make_unique<ServedEndpoint>(context_, host_, host_.ports()[open.port], handle_, hooks(endpoint, open.port));
  const Result<RdmaEnd> end = served->open(open.opener);
  if (!end.ok()) {
    refuse(endpoint, end.status());
    return {};
  }
  served_[endpoint] = std::move(served);
  send_(RdmaFrame::kOpened, endpoint, Code::kOk, encode_rdma_end(*end), 0);
  return {};
}

Status GrantServer::on_close(std::uint64_t endpoint) {
  end(endpoint);  // unless it broke here just now
  return {};
}

Status GrantServer::on_grant(std::uint64_t slice, bool write, ConstByteSpan payload) {
  MC_ASSIGN_OR_RETURN(const RdmaGrant grant, decode_rdma_grant(payload));
  const auto found = served_.find(grant.endpoint);
  if (found == served_.end()) {
    say_done(slice, {Code::kUnavailable, "the RDMA endpoint is over"}, false);
  } else {
    found->second->grant(slice, write, grant.range);
  }
  return {};
}

void GrantServer::revoke(SegmentHandle segment) {
  for (const auto& [endpoint, served] : served_) served->revoke(segment);
}

void GrantServer::on_ports_changed() {
  std::vector<std::uint64_t> down;
  for (const auto& [endpoint, served] : served_) {
    if (!served->up()) down.push_back(endpoint);
  }
  for (const std::uint64_t endpoint : down) refuse(endpoint, {Code::kUnavailable, "the RDMA port is down"});
}

void GrantServer::close() {
  for (const auto& [endpoint, served] : served_) served->end(false);
  served_.clear();
}

}  // namespace mooncake::transfer
