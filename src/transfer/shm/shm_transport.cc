#include "transfer/shm/shm_transport.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>

#include "base/log.h"
#include "base/rng.h"

namespace mooncake::transfer {
namespace {

/// Reads are copied under ids of their own: pulls use the peer's request ids.
constexpr std::uint64_t kReadBit = 1ull << 63;

std::array<std::byte, 16> encode_pair(std::uint64_t first, std::uint64_t second) {
  std::array<std::byte, 16> bytes;
  store_le(bytes.data(), first);
  store_le(bytes.data() + 8, second);
  return bytes;
}

OutFrame done_frame(std::uint64_t id, const Status& status, std::uint16_t flags) {
  const FrameHeader header{.kind = FrameKind::kDone,
                           .flags = flags,
                           .request_id = id,
                           .argument = static_cast<std::uint32_t>(status.code())};
  return OutFrame::make(header, {}, status.message().substr(0, kReasonBytesMax));
}

}  // namespace

Result<pid_t> peer_process(int fd) {
  ucred credentials{};
  socklen_t size = sizeof credentials;
  if (::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0) {
    return Status(Code::kUnavailable, fmt::format("SO_PEERCRED: {}", errno_text(errno)));
  }
  if (credentials.uid != ::geteuid()) return Status(Code::kPermissionDenied, "shm is for processes of one user");
  return credentials.pid;
}

ShmTransport::ShmTransport(Context& context, SliceQueue& queue, DeviceLandings& landings, PeerHandle handle,
                           std::string peer, std::shared_ptr<Connection> connection)
    : context_(context),
      queue_(queue),
      peer_handle_(handle),
      counters_(context.stats.paths, std::move(peer), "shm", {""}),
      connection_(std::move(connection)),
      nonce_(std::make_unique<std::uint64_t>(random_seed())),
      copies_(*context.loop, context.copy_crew),
      landings_(landings) {
  const Result<pid_t> pid = peer_process(connection_->fd());
  if (pid.ok()) pid_ = *pid;
  send(FrameKind::kShmProbe, 0, encode_pair(reinterpret_cast<std::uintptr_t>(nonce_.get()), *nonce_));
}

void ShmTransport::send(FrameKind kind, std::uint64_t id, ConstByteSpan small, std::uint32_t argument) {
  connection_->send(OutFrame::make({.kind = kind, .request_id = id, .argument = argument}, small));
}

void ShmTransport::send_done(std::uint64_t id, const Status& status, std::uint16_t flags) {
  connection_->send(done_frame(id, status, flags));
}

/// Answers about a copy that has ended, with others if more are about to end. The last of them always goes at once.
void ShmTransport::answer(OutFrame frame, std::size_t bytes) {
  unanswered_ += bytes;
  if (!copies_.empty() && unanswered_ < std::max(kAnswerBytes, copies_.bytes()))
    return connection_->send_with_next(std::move(frame));
  unanswered_ = 0;
  connection_->send(std::move(frame));
}

bool ShmTransport::carries(const Slice& slice) const {
  if (!ready_) return false;
  if (slice.op == TransferRequest::Op::kRead) return true;  // the owner knows whether it can grant it
  return peer_reads_us_ || context_.pools.find(slice.local).has_value();
}

/// How the peer reaches memory of ours; announces its pool first if the peer does not have it yet.
Result<ShmSource> ShmTransport::source_of(ConstByteSpan memory) {
  const auto place = context_.pools.find(memory);
  if (!place.has_value()) {
    if (!peer_reads_us_) return Status(Code::kUnsupported, "the memory is in no shared pool");
    return ShmSource{0, reinterpret_cast<std::uintptr_t>(memory.data()), memory.size()};
  }
  if (!announced_.contains(place->pool)) {
    std::uint64_t bytes = 0;
    MC_ASSIGN_OR_RETURN(UniqueFd fd, context_.pools.open_for_peer(place->pool, bytes));
    OutFrame frame = OutFrame::make({.kind = FrameKind::kShmPool}, encode_pair(place->pool, bytes));
    frame.fd = std::move(fd);
    connection_->send(std::move(frame));
    announced_.insert(place->pool);
  }
  return ShmSource{place->pool, place->offset, memory.size()};
}

void ShmTransport::start(SliceId id, const Slice& slice) {
  const auto request_id = static_cast<std::uint64_t>(id);
  queue_.on_slice_path(id, counters());
  std::array<std::byte, kRangeBytesMax + kSourceBytes> small;
  const ConstByteSpan range = encode_range(slice.remote, small);
  if (slice.op == TransferRequest::Op::kRead) return send(FrameKind::kShmGrant, request_id, range);
  const Result<ShmSource> source = source_of(slice.local);
  if (!source.ok()) {  // the pool went, or there are no descriptors left
    context_.loop->post([this, id, alive = std::weak_ptr(alive_)] {
      if (!alive.expired()) queue_.on_slice_refused(id);
    });
    return;
  }
  encode_source(*source, std::span(small).subspan(range.size()).first<kSourceBytes>());
  send(FrameKind::kShmPull, request_id, ConstByteSpan(small).first(range.size() + kSourceBytes));
}

Abandoned ShmTransport::abandon(SliceId id, const Slice& slice) {
  const auto request_id = static_cast<std::uint64_t>(id);
  if (slice.op == TransferRequest::Op::kWrite) {
    send(FrameKind::kShmCancel, request_id);
    return Abandoned::kHeld;
  }
  // A read that is being copied is taken out here and now; one that is not granted yet is released when the grant
  // comes.
  if (reads_.erase(request_id) == 0) return Abandoned::kLetGo;
  copies_.forget(request_id | kReadBit);
  send(FrameKind::kShmRelease, request_id);
  return Abandoned::kForgotten;
}

Status ShmTransport::on_frame(const FrameHeader& header, std::string_view payload) {
  switch (header.kind) {
    case FrameKind::kShmProbe:
      return on_probe(payload);
    case FrameKind::kShmReady:
      peer_reads_us_ = header.argument == 1;
      ready_ = true;
      return {};
    case FrameKind::kShmPool:
      return on_pool(payload);
    case FrameKind::kShmPoolGone:
      if (payload.size() == 8) pools_.erase(load_le<std::uint64_t>(as_bytes(payload).data()));
      return {};
    case FrameKind::kShmPull:
      return on_pull(header, payload);
    case FrameKind::kShmCancel:
      cancel_pull(header.request_id);
      return {};
    case FrameKind::kShmGrant:
      return on_grant(header, payload);
    case FrameKind::kShmGranted:
      return on_granted(header, payload);
    case FrameKind::kShmRelease:
      return on_release(header);
    case FrameKind::kDone:
      return on_done(header, payload);
    default:
      return {Code::kCorrupt, fmt::format("a {} frame does not belong here", frame_kind_name(header.kind))};
  }
}

Status ShmTransport::on_probe(std::string_view payload) {
  MC_ASSIGN_OR_RETURN(const U64Pair probe, decode_pair(as_bytes(payload)));
  std::uint64_t seen = 0;
  iovec local{&seen, sizeof seen};
  // NOLINTNEXTLINE(performance-no-int-to-ptr): an address in the peer's process, which came as a number
  iovec remote{reinterpret_cast<void*>(probe.first), sizeof seen};
  const bool readable =
      pid_ != 0 && ::process_vm_readv(pid_, &local, 1, &remote, 1, 0) == sizeof seen && seen == probe.second;
  send(FrameKind::kShmReady, 0, {}, readable ? 1 : 0);
  return {};
}

Status ShmTransport::on_pool(std::string_view payload) {
  MC_ASSIGN_OR_RETURN(const U64Pair pool, decode_pair(as_bytes(payload)));
  UniqueFd fd = connection_->take_fd();
  if (!fd.valid()) return {Code::kCorrupt, "a shared pool was announced without a descriptor"};
  if (pool.first == 0 || pools_.size() >= kPoolsMax) return {Code::kExhausted, "too many shared pools"};
  Result<std::shared_ptr<const MappedPool>> mapped = MappedPool::map(std::move(fd), pool.second);
  // A pool that cannot be mapped is no reason to part: what names it is told to go another way.
  if (!mapped.ok() && mapped.status().code() != Code::kExhausted) return mapped.status();
  if (!mapped.ok()) {
    log_warn("transfer: {}", mapped.status().to_string());
    return {};
  }
  pools_[pool.first] = std::move(*mapped);
  return {};
}

/// Fills in where the job copies from. @return kPermissionDenied if this side cannot reach it.
Status ShmTransport::resolve(const ShmSource& source, CopyJob& job) const {
  if (source.pool == 0) {
    if (pid_ == 0) return {Code::kPermissionDenied, "the peer's process is not known"};
    job.pid = pid_;
    // NOLINTNEXTLINE(performance-no-int-to-ptr): an address in the peer's process, which came as a number
    job.from = reinterpret_cast<const std::byte*>(source.at);
    return {};
  }
  const auto found = pools_.find(source.pool);
  if (found == pools_.end()) return {Code::kPermissionDenied, "the shared pool is not mapped here"};
  job.pool = found->second;
  job.from = job.pool->at(source.at, source.length);
  if (job.from == nullptr) return {Code::kOutOfRange, "the source lies outside its shared pool"};
  return {};
}

Status ShmTransport::on_pull(const FrameHeader& header, std::string_view payload) {
  MC_ASSIGN_OR_RETURN(const ShmPull pull, decode_pull(as_bytes(payload)));
  const std::uint64_t id = header.request_id;
  if ((id & kReadBit) != 0 || pulls_.contains(id) || pull.target.length == 0)
    return {Code::kCorrupt, "a pull with a wrong request id or no length"};
  CopyJob job;
  job.id = id;
  job.segment = pull.target.segment;
  if (const Status status = resolve(pull.source, job); !status.ok()) {
    send_done(id, status, status.code() == Code::kPermissionDenied ? kFlagOtherTransport : 0);
    return {};
  }
  if (pulls_.size() >= kShmServedMax) {
    send_done(id, {Code::kExhausted, "too many pulls at once"});
    return {};
  }
  const Result<HeldMemory> to = context_.acquire(pull.target, Access::kWrite, peer_handle_);
  if (!to.ok()) {
    send_done(id, to.status());
    return {};
  }
  job.bytes = pull.target.length;
  if (to->kind != MemoryKind::kHost) {
    pull_to_device(std::move(job), to->at);
    return {};
  }
  job.to = to->at;
  job.done = [this, id, segment = pull.target.segment, bytes = job.bytes](const Status& status) {
    end_pull(id, segment, bytes, status);
  };
  pulls_[id] = {.segment = pull.target.segment};
  copies_.push(std::move(job));
  return {};
}

void ShmTransport::end_pull(std::uint64_t id, SegmentHandle segment, std::size_t bytes, const Status& status) {
  pulls_.erase(id);
  if (segment != SegmentHandle{}) context_.segments.release(segment);
  if (status.ok()) counters().served(false, bytes);
  answer(done_frame(id, status, status.code() == Code::kPermissionDenied ? kFlagOtherTransport : 0), bytes);
}

Status ShmTransport::on_grant(const FrameHeader& header, std::string_view payload) {
  MC_ASSIGN_OR_RETURN(const BulkRange range, decode_range(as_bytes(payload)));
  const std::uint64_t id = header.request_id;
  if (grants_.contains(id)) return {Code::kCorrupt, "two reads with one request id"};
  if (grants_.size() >= kShmServedMax) {
    send_done(id, {Code::kExhausted, "too many grants at once"});
    return {};
  }
  const Result<HeldMemory> at = context_.acquire(range, Access::kRead, peer_handle_);
  if (!at.ok()) {
    send_done(id, at.status());
    return {};
  }
  if (at->kind != MemoryKind::kHost) {
    grant_of_device(id, range, at->at);
    return {};
  }
  const Result<ShmSource> source = source_of({at->at, range.length});
  if (!source.ok()) {
    context_.segments.release(range.segment);
    send_done(id, source.status(), kFlagOtherTransport);
    return {};
  }
  grants_[id] = {.segment = range.segment, .bytes = range.length};
  std::array<std::byte, kSourceBytes> small;
  encode_source(*source, small);
  send(FrameKind::kShmGranted, id, small);
  return {};
}

Status ShmTransport::on_granted(const FrameHeader& header, std::string_view payload) {
  MC_ASSIGN_OR_RETURN(const ShmSource source, decode_source(as_bytes(payload)));
  const std::uint64_t id = header.request_id;
  MC_ASSIGN_OR_RETURN(const Slice* const slice, queue_.find(SliceId{id}, *this));
  if (slice == nullptr || slice->op != TransferRequest::Op::kRead || reads_.contains(id)) {
    return {Code::kCorrupt, "a grant that was not asked for"};
  }
  if (source.length != slice->local.size()) return {Code::kCorrupt, "a grant of another length"};
  const ByteSpan local = queue_.landing(SliceId{id});
  if (local.empty()) {  // given up meanwhile
    end_read(id, 0, {Code::kCancelled, "given up"});
    return {};
  }
  CopyJob job;
  job.id = id | kReadBit;
  job.to = local.data();
  job.bytes = local.size();
  if (const Status status = resolve(source, job); !status.ok()) {
    end_read(id, 0, status);
    return {};
  }
  job.done = [this, id, bytes = job.bytes](const Status& status) { end_read(id, bytes, status); };
  reads_.insert(id);
  copies_.push(std::move(job));
  return {};
}

/// True if the peer has closed the socket, though what it sent before may not have been read here.
bool ShmTransport::hung_up() const {
  std::atomic_thread_fence(std::memory_order_acquire);  // what was copied was loaded before this is asked
  pollfd socket{.fd = connection_->fd(), .events = POLLRDHUP, .revents = 0};
  int answer = 0;
  do {
    answer = ::poll(&socket, 1, 0);
  } while (answer < 0 && errno == EINTR);
  return answer != 0;
}

void ShmTransport::end_read(std::uint64_t id, std::size_t bytes, const Status& status) {
  // The owner may have reused the memory while it was copied. The slice stays until the loop learns of the end of the
  // connection: then it begins again elsewhere, or fails with the peer.
  if (status.ok() && hung_up()) return;
  reads_.erase(id);
  const FrameHeader header{.kind = FrameKind::kShmRelease, .request_id = id, .argument = status.ok() ? 1u : 0u};
  answer(OutFrame::make(header), bytes);
  if (status.code() == Code::kPermissionDenied) {
    queue_.on_slice_refused(SliceId{id});
  } else {
    queue_.on_slice_done(SliceId{id}, status);
  }
}

Status ShmTransport::on_release(const FrameHeader& header) {
  const auto found = grants_.find(header.request_id);
  if (found == grants_.end() || found->second.fetching != 0) return {Code::kCorrupt, "a release of nothing"};
  const Grant grant = std::move(found->second);
  grants_.erase(found);
  if (header.argument == 1) counters().served(true, grant.bytes);
  let_go(grant);
  return {};
}

void ShmTransport::let_go(const Grant& grant) {
  if (grant.segment != SegmentHandle{}) context_.segments.release(grant.segment);
  if (grant.fetching != 0) static_cast<void>(context_.cuda.get()->cancel(grant.fetching));  // else it ends by itself
}

Status ShmTransport::on_done(const FrameHeader& header, std::string_view payload) {
  const std::uint64_t id = header.request_id;
  MC_ASSIGN_OR_RETURN(const Slice* const slice, queue_.find(SliceId{id}, *this));
  if (slice == nullptr) return {};
  const Status status = decode_status(header.argument, payload);
  if (slice->op == TransferRequest::Op::kRead && (status.ok() || reads_.contains(id))) {
    return {Code::kCorrupt, "a read was answered without a grant"};
  }
  if ((header.flags & kFlagOtherTransport) != 0) {
    queue_.on_slice_refused(SliceId{id});
  } else {
    queue_.on_slice_done(SliceId{id}, status);
  }
  return {};
}

void ShmTransport::revoke(SegmentHandle segment) {
  copies_.revoke(segment, {Code::kStale, "the segment was unregistered while it was written"});
}

void ShmTransport::pool_gone(std::uint64_t pool) {
  if (announced_.erase(pool) == 0) return;
  std::array<std::byte, 8> small;
  store_le(small.data(), pool);
  send(FrameKind::kShmPoolGone, 0, small);
}

void ShmTransport::stop(const Status& reason) {
  connection_->close(reason, true);
  ready_ = false;
  copies_.clear();
  reads_.clear();
  for (const auto& [id, pull] : pulls_) {
    if (pull.segment != SegmentHandle{}) context_.segments.release(pull.segment);
    if (pull.waiting != 0) static_cast<void>(context_.cuda.get()->cancel(pull.waiting));
  }
  pulls_.clear();
  landings_.drop(kShmLandings);
}

void ShmTransport::close(const Status& reason) {
  stop(reason);
  for (const auto& [id, grant] : grants_) let_go(grant);
  grants_.clear();
}

}  // namespace mooncake::transfer
