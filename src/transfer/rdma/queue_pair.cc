#include "transfer/rdma/queue_pair.h"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/log.h"
#include "base/rng.h"
#include "transfer/fd.h"

namespace mooncake::transfer {
namespace {

/// 4.096 us x 2^14 = 67 ms until a packet is sent again, at most 6 times: half a second until a path is given up. Far
/// above any congestion, and short enough that a slice has time to go another way. 7 would mean for ever to soft-RoCE.
constexpr std::uint8_t kAckTimeout = 14;
constexpr std::uint8_t kRetries = 6;
/// A peer without room for our immediate data is asked again after 0.64 ms (12); it has room, unless it is wrong.
constexpr std::uint8_t kNotReadyTimer = 12;
constexpr std::uint8_t kNotReadyRetries = 6;
constexpr std::uint8_t kHops = 64;

}  // namespace

Result<std::unique_ptr<QueuePair>> QueuePair::create(RdmaDevice& device, const RdmaPort& port, Sink& sink,
                                                     const Room& room) {
  std::unique_ptr<QueuePair> made(new QueuePair(device, port, sink));
  MC_RETURN_IF_ERROR(made->set_up(room));
  return made;
}

bool QueuePair::create_pair(const Room& room) {
  ibv_qp_init_attr attributes{};
  attributes.qp_context = this;
  attributes.send_cq = completions_;
  attributes.recv_cq = completions_;
  attributes.cap = {.max_send_wr = room.sends,
                    .max_recv_wr = room.receives,
                    .max_send_sge = 1,
                    .max_recv_sge = 1,
                    .max_inline_data = room.inline_bytes};
  attributes.qp_type = IBV_QPT_RC;
  pair_ = device_.verbs().create_qp(device_.domain(), &attributes);
  if (pair_ != nullptr) inline_max_ = room.inline_bytes;
  return pair_ != nullptr;
}

Status QueuePair::set_up(const Room& room) {
  const Verbs& verbs = device_.verbs();
  completions_ =
      verbs.create_cq(device_.context(), static_cast<int>(room.sends + room.receives), this, device_.channel(), 0);
  if (completions_ == nullptr) {
    return {Code::kExhausted, fmt::format("rdma: {}: ibv_create_cq: {}", device_.name(), errno_text(errno))};
  }
  ibv_req_notify_cq(completions_, 0);
  // A device refuses more inline data than it can do; then it has none.
  if (!create_pair(room) &&
      (room.inline_bytes == 0 || !create_pair({.sends = room.sends, .receives = room.receives}))) {
    return {Code::kExhausted, fmt::format("rdma: {}: ibv_create_qp: {}", device_.name(), errno_text(errno))};
  }
  ibv_qp_attr init{};
  init.qp_state = IBV_QPS_INIT;
  init.port_num = port_.number;
  init.qp_access_flags = room.reached ? IBV_ACCESS_REMOTE_READ | IBV_ACCESS_REMOTE_WRITE : 0;
  if (const int error =
          verbs.modify_qp(pair_, &init, IBV_QP_STATE | IBV_QP_PKEY_INDEX | IBV_QP_PORT | IBV_QP_ACCESS_FLAGS);
      error != 0) {
    return {Code::kUnavailable, fmt::format("rdma: {}: to INIT: {}", device_.name(), errno_text(error))};
  }
  end_ = {.address = port_.address,
          .queue_pair = pair_->qp_num,
          .packet_sequence = static_cast<std::uint32_t>(random_seed() & 0xffffff),
          .reads_at_once = device_.reads_at_once()};
  return {};
}

Status QueuePair::connect(const RdmaEnd& peer) {
  MC_RETURN_IF_ERROR(ready_to_receive(peer));
  return ready_to_send(peer);
}

Status QueuePair::ready_to_receive(const RdmaEnd& peer) {
  ibv_qp_attr attributes{};
  attributes.qp_state = IBV_QPS_RTR;
  attributes.path_mtu = static_cast<ibv_mtu>(peer.address.mtu);
  attributes.dest_qp_num = peer.queue_pair;
  attributes.rq_psn = peer.packet_sequence;
  attributes.max_dest_rd_atomic = peer.reads_at_once;
  attributes.min_rnr_timer = kNotReadyTimer;
  attributes.ah_attr.port_num = port_.number;
  attributes.ah_attr.dlid = peer.address.lid;
  attributes.ah_attr.is_global = peer.address.infiniband ? 0 : 1;
  attributes.ah_attr.grh.sgid_index = port_.gid_index;
  attributes.ah_attr.grh.hop_limit = kHops;
  std::memcpy(attributes.ah_attr.grh.dgid.raw, peer.address.gid.data(), peer.address.gid.size());
  const int error = device_.verbs().modify_qp(pair_, &attributes,
                                              IBV_QP_STATE | IBV_QP_AV | IBV_QP_PATH_MTU | IBV_QP_DEST_QPN |
                                                  IBV_QP_RQ_PSN | IBV_QP_MAX_DEST_RD_ATOMIC | IBV_QP_MIN_RNR_TIMER);
  if (error == 0) return {};
  return {Code::kUnavailable,
          fmt::format("rdma: {}: cannot reach the peer's port: {}", device_.name(), errno_text(error))};
}

Status QueuePair::ready_to_send(const RdmaEnd& peer) {
  ibv_qp_attr attributes{};
  attributes.qp_state = IBV_QPS_RTS;
  attributes.sq_psn = end_.packet_sequence;
  attributes.timeout = kAckTimeout;
  attributes.retry_cnt = kRetries;
  attributes.rnr_retry = kNotReadyRetries;
  attributes.max_rd_atomic = peer.reads_at_once;
  const int error = device_.verbs().modify_qp(
      pair_, &attributes,
      IBV_QP_STATE | IBV_QP_SQ_PSN | IBV_QP_TIMEOUT | IBV_QP_RETRY_CNT | IBV_QP_RNR_RETRY | IBV_QP_MAX_QP_RD_ATOMIC);
  if (error == 0) return {};
  return {Code::kUnavailable, fmt::format("rdma: {}: to RTS: {}", device_.name(), errno_text(error))};
}

bool QueuePair::post(ibv_send_wr& work, bool signaled) {
  if (signaled) work.send_flags |= IBV_SEND_SIGNALED;
  ibv_send_wr* bad = nullptr;
  return open() && ibv_post_send(pair_, &work, &bad) == 0;
}

bool QueuePair::read(std::uint64_t id, ByteSpan local, const Registration& registration, std::uint64_t address,
                     std::uint32_t key) {
  ibv_sge piece{reinterpret_cast<std::uintptr_t>(local.data()), static_cast<std::uint32_t>(local.size()),
                registration.region()->lkey};
  ibv_send_wr work{};
  work.wr_id = id;
  work.opcode = IBV_WR_RDMA_READ;
  work.sg_list = &piece;
  work.num_sge = 1;
  work.wr.rdma = {.remote_addr = address, .rkey = key};
  return post(work);
}

bool QueuePair::write(std::uint64_t id, ByteSpan local, const Registration& registration, std::uint64_t address,
                      std::uint32_t key, std::uint32_t immediate) {
  ibv_sge piece{reinterpret_cast<std::uintptr_t>(local.data()), static_cast<std::uint32_t>(local.size()),
                registration.region()->lkey};
  ibv_send_wr work{};
  work.wr_id = id;
  work.opcode = IBV_WR_RDMA_WRITE_WITH_IMM;
  work.imm_data = ::htonl(immediate);
  work.sg_list = &piece;
  work.num_sge = 1;
  work.wr.rdma = {.remote_addr = address, .rkey = key};
  return post(work);
}

bool QueuePair::send(std::uint64_t id, std::uint32_t immediate) {
  ibv_send_wr work{};
  work.wr_id = id;
  work.opcode = IBV_WR_SEND_WITH_IMM;
  work.imm_data = ::htonl(immediate);
  return post(work);
}

bool QueuePair::receive(std::uint64_t id) {
  ibv_recv_wr work{};
  work.wr_id = id;
  ibv_recv_wr* bad = nullptr;
  return open() && ibv_post_recv(pair_, &work, &bad) == 0;
}

bool QueuePair::send(std::uint64_t id, ConstByteSpan bytes, const ibv_mr& region, std::uint32_t immediate,
                     bool signaled) {
  ibv_sge piece{reinterpret_cast<std::uintptr_t>(bytes.data()), static_cast<std::uint32_t>(bytes.size()), region.lkey};
  ibv_send_wr work{};
  work.wr_id = id;
  work.opcode = IBV_WR_SEND_WITH_IMM;
  work.imm_data = ::htonl(immediate);
  if (!bytes.empty()) {
    work.sg_list = &piece;
    work.num_sge = 1;
    if (bytes.size() <= inline_max_) work.send_flags |= IBV_SEND_INLINE;
  }
  return post(work, signaled);
}

bool QueuePair::receive(std::uint64_t id, ByteSpan into, const ibv_mr& region) {
  ibv_sge piece{reinterpret_cast<std::uintptr_t>(into.data()), static_cast<std::uint32_t>(into.size()), region.lkey};
  ibv_recv_wr work{};
  work.wr_id = id;
  work.sg_list = &piece;
  work.num_sge = 1;
  ibv_recv_wr* bad = nullptr;
  return open() && ibv_post_recv(pair_, &work, &bad) == 0;
}

bool QueuePair::bind(std::uint64_t id, ibv_mw* window, std::uint32_t key, ByteSpan memory,
                     const Registration& registration, bool write) {
  ibv_send_wr work{};
  work.wr_id = id;
  work.opcode = IBV_WR_BIND_MW;
  work.bind_mw = {.mw = window,
                  .rkey = key,
                  .bind_info = {.mr = registration.region(),
                                .addr = reinterpret_cast<std::uintptr_t>(memory.data()),
                                .length = memory.size(),
                                .mw_access_flags =
                                    static_cast<unsigned>(write ? IBV_ACCESS_REMOTE_WRITE : IBV_ACCESS_REMOTE_READ)}};
  return post(work);
}

bool QueuePair::invalidate(std::uint64_t id, std::uint32_t key) {
  ibv_send_wr work{};
  work.wr_id = id;
  work.opcode = IBV_WR_LOCAL_INV;
  work.invalidate_rkey = key;
  return post(work);
}

void QueuePair::on_event() {
  ibv_req_notify_cq(completions_, 0);
  std::array<ibv_wc, 16> completed;
  while (open()) {
    const int count = ibv_poll_cq(completions_, static_cast<int>(completed.size()), completed.data());
    if (count <= 0) return;
    for (int i = 0; i < count && open(); ++i) sink_.on_completion(completed[static_cast<std::size_t>(i)]);
  }
}

void QueuePair::stop() {
  if (pair_ == nullptr) return;
  ibv_qp_attr attributes{};
  attributes.qp_state = IBV_QPS_ERR;
  device_.verbs().modify_qp(pair_, &attributes, IBV_QP_STATE);
}

void QueuePair::close() {
  stop();
  // Destroying waits until the device has let go of it. It fails only where the device itself is gone.
  int error = 0;
  if (pair_ != nullptr) error = device_.verbs().destroy_qp(std::exchange(pair_, nullptr));
  if (completions_ != nullptr) error |= device_.verbs().destroy_cq(std::exchange(completions_, nullptr));
  if (error != 0) log_error("transfer: rdma: {}: a queue pair could not be destroyed", device_.name());
}

}  // namespace mooncake::transfer
