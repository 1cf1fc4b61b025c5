#include "transfer/file/ring_queue.h"

#include <fmt/format.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/check.h"
#include "transfer/fd.h"

namespace mooncake::transfer {
namespace {

/// Room for every operation and its cancellation in one submission; the completion ring has twice that.
constexpr unsigned kSubmissionEntries = 2 * kFileOpsInKernelMax;
/// Marks the completion of a cancellation, which says nothing that the operation's own does not.
constexpr std::uint64_t kCancelBit = std::uint64_t{1} << 63;
/// Pause after the kernel had no memory for a submission.
constexpr Millis kSubmitPause{1};

}  // namespace

Result<std::unique_ptr<FileQueue>> RingQueue::create(net::EventLoop& loop, const PoolSet& pools, Completed completed) {
  std::unique_ptr<RingQueue> queue(new RingQueue(loop, std::move(completed)));
  MC_RETURN_IF_ERROR(queue->open(pools));
  return std::unique_ptr<FileQueue>(std::move(queue));
}

Status RingQueue::open(const PoolSet& pools) {
  // The loop is the only issuer, and runs the kernel's share of completions when it looks for them, not in between.
  int error = io_uring_queue_init(kSubmissionEntries, &ring_, IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN);
  if (error == -EINVAL) error = io_uring_queue_init(kSubmissionEntries, &ring_, 0);  // before Linux 6.1
  if (error < 0) return {Code::kUnsupported, fmt::format("io_uring_setup: {}", errno_text(-error))};
  open_ = true;
  UniqueFd events(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  if (!events.valid()) return {Code::kUnsupported, fmt::format("eventfd: {}", errno_text(errno))};
  error = io_uring_register_eventfd(&ring_, events.get());
  if (error < 0) return {Code::kUnsupported, fmt::format("IORING_REGISTER_EVENTFD: {}", errno_text(-error))};
  MC_ASSIGN_OR_RETURN(events_, loop_.watch(std::move(events)));
  fixed_.emplace(ring_, pools);
  wait_for_events();
  return {};
}

RingQueue::~RingQueue() {
  alive_.reset();
  waiting_.clear();
  for (const auto& [id, cancelled] : in_kernel_) {
    if (!cancelled) prepare_cancel(id);
  }
  while (!in_kernel_.empty()) {
    io_uring_submit(&ring_);
    io_uring_cqe* entry = nullptr;
    const int error = io_uring_wait_cqe(&ring_, &entry);
    if (error == -EINTR || error == -EAGAIN) continue;
    CHECK(error == 0);
    std::uint64_t id = 0;
    static_cast<void>(reap(*entry, id));
    io_uring_cqe_seen(&ring_, entry);
  }
  if (open_) io_uring_queue_exit(&ring_);
}

void RingQueue::submit(const FileOp& op) {
  CHECK(waiting_.size() + in_kernel_.size() < kFileOpsMax);
  waiting_.push_back(op);
  plan_flush();
}

void RingQueue::cancel(std::uint64_t id) {
  if (const auto flying = in_kernel_.find(id); flying != in_kernel_.end()) {
    if (std::exchange(flying->second, true)) return;
    prepare_cancel(id);
    return plan_flush();
  }
  const auto found = std::ranges::find(waiting_, id, &FileOp::id);
  if (found == waiting_.end()) return;  // its completion is on its way
  waiting_.erase(found);
  loop_.post([this, id, alive = std::weak_ptr(alive_)] {
    if (!alive.expired()) completed_(id, -ECANCELED);
  });
}

void RingQueue::plan_flush() {
  if (std::exchange(flush_planned_, true)) return;
  loop_.post([this, alive = std::weak_ptr(alive_)] {
    if (!alive.expired()) flush();
  });
}

void RingQueue::flush() {
  flush_planned_ = false;
  while (!waiting_.empty() && in_kernel_.size() < kFileOpsInKernelMax) {
    prepare(waiting_.front());
    waiting_.pop_front();
  }
  enter_kernel();
}

void RingQueue::prepare(const FileOp& op) {
  io_uring_sqe* const entry = io_uring_get_sqe(&ring_);
  CHECK(entry != nullptr && (op.id & kCancelBit) == 0);
  const auto bytes = static_cast<unsigned>(op.memory.size());
  if (const int fixed = fixed_->index_of(op.memory); fixed < 0) {
    if (op.write) io_uring_prep_write(entry, op.fd, op.memory.data(), bytes, op.offset);
    if (!op.write) io_uring_prep_read(entry, op.fd, op.memory.data(), bytes, op.offset);
  } else {
    if (op.write) io_uring_prep_write_fixed(entry, op.fd, op.memory.data(), bytes, op.offset, fixed);
    if (!op.write) io_uring_prep_read_fixed(entry, op.fd, op.memory.data(), bytes, op.offset, fixed);
  }
  io_uring_sqe_set_data64(entry, op.id);
  CHECK(in_kernel_.emplace(op.id, false).second);
}

void RingQueue::prepare_cancel(std::uint64_t id) {
  io_uring_sqe* const entry = io_uring_get_sqe(&ring_);
  CHECK(entry != nullptr);
  io_uring_prep_cancel64(entry, id, 0);
  io_uring_sqe_set_data64(entry, id | kCancelBit);
}

/// Submits all that is prepared. One that the kernel finds wrong ends a call early, and is completed with its error.
void RingQueue::enter_kernel() {
  while (io_uring_sq_ready(&ring_) > 0) {
    const int submitted = io_uring_submit(&ring_);
    if (submitted > 0 || submitted == -EINTR) continue;
    CHECK(submitted == 0 || submitted == -EAGAIN || submitted == -EBUSY || submitted == -ENOMEM);
    flush_planned_ = true;
    loop_.post_at(loop_.clock().now() + kSubmitPause, [this, alive = std::weak_ptr(alive_)] {
      if (!alive.expired()) flush();
    });
    return;
  }
}

void RingQueue::wait_for_events() {
  events_->wait_readable([this, alive = std::weak_ptr(alive_)] {
    if (!alive.expired()) on_events();
  });
}

void RingQueue::on_events() {
  std::uint64_t count = 0;
  static_cast<void>(::read(events_->fd(), &count, sizeof count));  // first: what comes later signals again
  io_uring_get_events(&ring_);
  io_uring_cqe* entry = nullptr;
  while (io_uring_peek_cqe(&ring_, &entry) == 0) {
    std::uint64_t id = 0;
    const std::optional<std::int64_t> moved = reap(*entry, id);
    io_uring_cqe_seen(&ring_, entry);
    if (moved.has_value()) completed_(id, *moved);
  }
  if (!waiting_.empty()) plan_flush();
  wait_for_events();
}

/// The ring is private: each submission has one completion, and nobody else has any. One that we do not wait for means
/// that memory was given back which the kernel had not let go of.
std::optional<std::int64_t> RingQueue::reap(const io_uring_cqe& entry, std::uint64_t& id) {
  id = entry.user_data;
  if ((id & kCancelBit) != 0) return std::nullopt;
  CHECK(in_kernel_.erase(id) == 1);
  return entry.res;
}

}  // namespace mooncake::transfer
