#include "transfer/rdma/opened_endpoint.h"

#include <fmt/format.h>

#include "transfer/rdma/served_endpoint.h"

namespace mooncake::transfer {
namespace {

/// The completion of a ticket; those of operations carry the id of their slice.
constexpr std::uint64_t kTicketSent = ~std::uint64_t{0};

}  // namespace

Result<RdmaEnd> OpenedEndpoint::open(const RdmaHost::Port& port) {
  MC_ASSIGN_OR_RETURN(pair_, QueuePair::create(*port.device, port.state(), *this));
  verbs_ = &port.device->verbs();
  end_ = pair_->end();
  return end_;
}

Status OpenedEndpoint::connect(const RdmaEnd& peer) {
  if (peer.address.mtu > end_.address.mtu || peer.reads_at_once > end_.reads_at_once || connected_) {
    return {Code::kCorrupt, "an RDMA endpoint that was opened twice, or for more than was asked"};
  }
  MC_RETURN_IF_ERROR(pair_->connect(peer));
  connected_ = true;
  return {};
}

void OpenedEndpoint::move(std::uint64_t id, const Slice& slice, const Registration& registration,
                          const RdmaGranted& granted) {
  const bool posted =
      slice.op == TransferRequest::Op::kWrite
          ? pair_->write(id, slice.local, registration, granted.address, granted.key, granted.ticket | kTicketMoved)
          : pair_->read(id, slice.local, registration, granted.address, granted.key);
  if (!posted) fail_soon({Code::kUnavailable, "rdma: the send queue is full"});
}

void OpenedEndpoint::give_back(const RdmaGranted& granted, bool moved) {
  if (!pair_->send(kTicketSent, granted.ticket | (moved ? kTicketMoved : 0))) {
    fail_soon({Code::kUnavailable, "rdma: the send queue is full"});
  }
}

void OpenedEndpoint::on_completion(const ibv_wc& completion) {
  if (failed_) return;
  if (completion.status == IBV_WC_REM_ACCESS_ERR) {
    return fail_soon({Code::kStale, "the peer took a grant back"});
  }
  if (completion.status != IBV_WC_SUCCESS) {
    return fail_soon({Code::kUnavailable, verbs_->wc_status_str(completion.status)});
  }
  if (completion.wr_id != kTicketSent) hooks_.moved(completion.wr_id);
}

void OpenedEndpoint::fail_soon(const Status& why) {
  if (std::exchange(failed_, true)) return;
  loop_.post([this, why, alive = std::weak_ptr(alive_)] {
    if (alive.expired()) return;
    const auto failed = hooks_.failed;  // which closes and deletes this
    failed(why);
  });
}

void OpenedEndpoint::close() {
  failed_ = true;
  if (!pair_) return;
  pair_->close();
  host_.retire(std::move(pair_));
}

}  // namespace mooncake::transfer
