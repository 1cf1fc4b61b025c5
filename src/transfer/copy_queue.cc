#include "transfer/copy_queue.h"

#include <fmt/format.h>
#include <sys/uio.h>

#include <algorithm>
#include <cerrno>

#include "transfer/fd.h"

namespace mooncake::transfer {
namespace {

/// Reads another process's memory. @return bytes read.
Result<std::size_t> read_foreign(pid_t pid, const std::byte* from, ByteSpan to) {
  iovec local{to.data(), to.size()};
  iovec remote{const_cast<std::byte*>(from), to.size()};
  const ssize_t count = ::process_vm_readv(pid, &local, 1, &remote, 1, 0);
  if (count > 0) return static_cast<std::size_t>(count);
  const int error = errno;
  const Code code = error == EPERM || error == ENOSYS ? Code::kPermissionDenied : Code::kUnavailable;
  return Status(
      code, fmt::format("process_vm_readv of process {}: {}", pid, count == 0 ? "nothing read" : errno_text(error)));
}

}  // namespace

void CopyQueue::push(CopyJob job) {
  bytes_ += job.bytes;
  jobs_.push_back(std::move(job));
  if (running_) return;
  running_ = true;
  loop_.post([this, alive = std::weak_ptr(alive_)] {
    if (!alive.expired()) turn();
  });
}

void CopyQueue::turn() {
  if (jobs_.empty()) {
    running_ = false;
    return;
  }
  const Status status = copy_piece(jobs_.front());
  if (!status.ok() || jobs_.front().bytes == 0) {
    auto done = std::move(jobs_.front().done);
    bytes_ -= jobs_.front().bytes;
    jobs_.pop_front();
    const std::weak_ptr alive(alive_);
    done(status);
    if (alive.expired()) return;
  }
  if (jobs_.empty()) {
    running_ = false;
    return;
  }
  loop_.post([this, alive = std::weak_ptr(alive_)] {
    if (!alive.expired()) turn();
  });
}

Status CopyQueue::copy_piece(CopyJob& job) {
  std::size_t piece = std::min(job.bytes, kCopyPieceBytes);
  if (job.pid == 0) {
    std::memmove(job.to, job.from, piece);  // ranges of one process may overlap
  } else {
    MC_ASSIGN_OR_RETURN(piece, read_foreign(job.pid, job.from, {job.to, piece}));
  }
  job.to += piece;
  job.from += piece;
  job.bytes -= piece;
  bytes_ -= piece;
  return {};
}

template <typename Match>
bool CopyQueue::take_out(Match match, const Status& why) {
  bool any = false;
  for (;;) {
    const auto found = std::ranges::find_if(jobs_, match);
    if (found == jobs_.end()) return any;
    auto done = std::move(found->done);
    bytes_ -= found->bytes;
    jobs_.erase(found);
    any = true;
    done(why);
  }
}

bool CopyQueue::cancel(std::uint64_t id, const Status& why) {
  return take_out([&](const CopyJob& job) { return job.id == id; }, why);
}

void CopyQueue::forget(std::uint64_t id) {
  std::erase_if(jobs_, [&](const CopyJob& job) {
    if (job.id == id) bytes_ -= job.bytes;
    return job.id == id;
  });
}

void CopyQueue::revoke(SegmentHandle segment, const Status& why) {
  take_out([&](const CopyJob& job) { return job.segment == segment; }, why);
}

}  // namespace mooncake::transfer
