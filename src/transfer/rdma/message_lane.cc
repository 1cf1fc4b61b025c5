#include "transfer/rdma/message_lane.h"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/log.h"
#include "transfer/connection.h"

namespace mooncake::transfer {
namespace {

/// In the id of a completion: a piece has come, into the buffer that the other bits name. Else pieces have left: so
/// many in all.
constexpr std::uint64_t kCame = std::uint64_t{1} << 63;

}  // namespace

Status MessageLane::set_up(const RdmaHost::Port& port) {
  verbs_ = &port.device->verbs();
  // No memory is reached through it: without windows a revocation ends no more than the endpoints for bulk.
  MC_ASSIGN_OR_RETURN(
      pair_,
      QueuePair::create(*port.device, port.state(), *this,
                        {.sends = kSends, .receives = kReceives, .inline_bytes = kLaneInlineBytes, .reached = false}));
  memory_.resize(std::size_t{kReceives + kSends} * kLanePieceBytes);
  region_ = verbs_->reg_mr(port.device->domain(), memory_.data(), memory_.size(), IBV_ACCESS_LOCAL_WRITE);
  if (region_ == nullptr) {
    return {Code::kExhausted, fmt::format("rdma: no memory for a message lane: {}", errno_text(errno))};
  }
  end_ = pair_->end();
  for (std::uint32_t i = 0; i < kReceives; ++i) {
    if (!post_receive(i)) return {Code::kExhausted, "rdma: the receive queue is full"};
  }
  return {};
}

Result<RdmaEnd> MessageLane::open(const RdmaHost::Port& port) {
  MC_RETURN_IF_ERROR(set_up(port));
  return end_;
}

Status MessageLane::connect(const RdmaEnd& peer) {
  if (peer.address.mtu > end_.address.mtu || peer.reads_at_once > end_.reads_at_once || connected_) {
    return {Code::kCorrupt, "a message lane that was opened twice, or for more than was asked"};
  }
  MC_RETURN_IF_ERROR(pair_->connect(peer));
  connected_ = true;
  if (!post_piece(0)) return {Code::kUnavailable, "rdma: the send queue is full"};
  return {};
}

Result<RdmaEnd> MessageLane::serve(const RdmaHost::Port& port, const RdmaEnd& opener) {
  if (!port.state().address.up || port.state().address.infiniband != opener.address.infiniband) {
    return Status(Code::kUnavailable, "the RDMA port is down, or of another kind");
  }
  MC_RETURN_IF_ERROR(set_up(port));
  // Both ends use the smaller of what the two can.
  RdmaEnd peer = opener;
  RdmaEnd ours = end_;
  peer.address.mtu = ours.address.mtu = std::min(peer.address.mtu, ours.address.mtu);
  peer.reads_at_once = ours.reads_at_once = std::min(peer.reads_at_once, ours.reads_at_once);
  MC_RETURN_IF_ERROR(pair_->connect(peer));
  connected_ = true;
  return ours;
}

void MessageLane::seal(const FrameKey& ours, const FrameKey& theirs) {
  out_.seal_with(std::make_unique<FrameMac>(ours));
  reader_.open_with(std::make_unique<FrameMac>(theirs));
}

// --- What comes.

bool MessageLane::post_receive(std::uint32_t number) {
  return pair_->receive(kCame | number, buffer(number), *region_);
}

void MessageLane::on_completion(const ibv_wc& completion) {
  if (over_) return;
  if (completion.status != IBV_WC_SUCCESS) {
    return over_soon({Code::kUnavailable, verbs_->wc_status_str(completion.status)});
  }
  if ((completion.wr_id & kCame) == 0) {
    left_ = completion.wr_id;
    become_ready();
    if (over_) return;
    if (!out_.empty() || credits_.must_report()) flush_soon();
    return;
  }
  Status status(Code::kCorrupt, "a piece without a report");
  if ((completion.wc_flags & IBV_WC_WITH_IMM) != 0) {
    status = on_piece(static_cast<std::uint32_t>(completion.wr_id), completion.byte_len, ::ntohl(completion.imm_data));
  }
  if (!status.ok() && !over_) over_soon(status);
}

/// What the other end sends, or that it has what was sent, proves the path.
void MessageLane::become_ready() {
  if (!std::exchange(ready_, true)) user_.on_lane_ready();
}

Status MessageLane::on_piece(std::uint32_t number, std::size_t bytes, std::uint32_t report) {
  // The opener's first has nothing to tell. Any other empty one has: they are as bounded as those with data.
  const bool first = !ready_;
  MC_RETURN_IF_ERROR(credits_.on_report(report, bytes == 0 && !first));
  become_ready();
  if (over_) return {};
  MC_RETURN_IF_ERROR(
      reader_.consume(ConstByteSpan(buffer(number)).first(std::min<std::size_t>(bytes, kLanePieceBytes))));
  if (over_) return {};
  if (!post_receive(number)) return {Code::kUnavailable, "rdma: the receive queue is full"};
  if (bytes > 0) credits_.on_emptied();
  if (!out_.empty() || credits_.must_report()) flush_soon();
  return {};
}

Status MessageLane::on_frame(const FrameHeader& header, std::string payload) {
  Status status = user_.on_lane_frame(header, std::move(payload));
  if (over_) return {Code::kCancelled, "closed"};  // by the user; nothing more is to be read
  return status;
}

Status MessageLane::on_bulk_end(const FrameHeader& /*header*/, const BulkRange& /*range*/) {
  return {Code::kCorrupt, "bulk frames do not belong on a message lane"};
}

// --- What goes.

void MessageLane::send(OutFrame frame) {
  if (over_) return;
  CHECK(ready_);
  out_.push(std::move(frame));
  if (out_.cost() > kQueuedBytesMax) {
    return over_soon({Code::kExhausted, "the peer does not read what is sent to it"});
  }
  flush_soon();
}

void MessageLane::flush_soon() {
  if (flushing_) return;
  flushing_ = true;
  loop_.post([this, alive = std::weak_ptr(alive_)] {
    if (!alive.expired()) flush();
  });
}

void MessageLane::flush() {
  flushing_ = false;
  while (!over_ && !out_.empty() && credits_.can_send() && can_post()) {
    int fd = -1;
    const std::size_t bytes = post_pieces(out_.gather(fd));
    CHECK(fd < 0);
    out_.sent(bytes, [](const FrameHeader&) {});
  }
  if (!over_ && credits_.must_report() && can_post() && !post_piece(0)) {
    over_soon({Code::kUnavailable, "rdma: the send queue is full"});
  }
}

/// As many pieces of those bytes as may be sent. @return how many bytes they hold.
std::size_t MessageLane::post_pieces(std::span<const iovec> from) {
  std::size_t posted = 0;
  std::size_t filled = 0;  // of the next piece
  const auto post = [&] {
    if (filled == 0) return;
    if (!post_piece(filled)) return over_soon({Code::kUnavailable, "rdma: the send queue is full"});
    posted += std::exchange(filled, 0);
  };
  for (const iovec& each : from) {
    ConstByteSpan rest(static_cast<const std::byte*>(each.iov_base), each.iov_len);
    while (!rest.empty() && !over_ && credits_.can_send() && can_post()) {
      const ConstByteSpan part = rest.first(std::min<std::size_t>(rest.size(), kLanePieceBytes - filled));
      std::memcpy(next_piece().data() + filled, part.data(), part.size());
      rest = rest.subspan(part.size());
      filled += part.size();
      if (filled == kLanePieceBytes) post();
    }
  }
  post();
  return posted;
}

/// Posts the next piece, whose bytes are in place.
bool MessageLane::post_piece(std::size_t bytes) {
  const ConstByteSpan piece = next_piece().first(bytes);
  ++posted_;
  if (bytes > 0) credits_.on_sent();
  return pair_->send(posted_, piece, *region_, credits_.report(), posted_ % kSignalEvery == 0 || !ready_);
}

// --- Its end.

void MessageLane::over_soon(const Status& why) {
  if (std::exchange(over_, true)) return;
  loop_.post([this, why, alive = std::weak_ptr(alive_)] {
    if (!alive.expired()) user_.on_lane_over(why);
  });
}

void MessageLane::close() {
  over_ = true;
  alive_.reset();
  if (pair_) {
    pair_->close();
    host_.retire(std::move(pair_));
  }
  if (region_ == nullptr) return;
  if (verbs_->dereg_mr(std::exchange(region_, nullptr)) != 0) {
    log_error("transfer: rdma: the memory of a message lane could not be let go of");
  }
}

}  // namespace mooncake::transfer
