#include "transfer/copy_crew.h"

#include <fmt/format.h>
#include <pthread.h>
#include <sys/uio.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>

#include "base/log.h"
#include "transfer/fd.h"

namespace mooncake::transfer {
namespace {

/// Reads another process's memory. It may be read in several parts.
Status read_foreign(pid_t pid, const std::byte* from, ByteSpan to) {
  while (!to.empty()) {
    iovec local{to.data(), to.size()};
    iovec remote{const_cast<std::byte*>(from), to.size()};
    const ssize_t count = ::process_vm_readv(pid, &local, 1, &remote, 1, 0);
    if (count <= 0) {
      const int error = errno;
      const Code code = error == EPERM || error == ENOSYS ? Code::kPermissionDenied : Code::kUnavailable;
      return {code,
              fmt::format("process_vm_readv of process {}: {}", pid, count == 0 ? "nothing read" : errno_text(error))};
    }
    from += count;
    to = to.subspan(static_cast<std::size_t>(count));
  }
  return {};
}

}  // namespace

void copy_piece(CopyPiece& piece) {
  if (piece.pid == 0) {
    std::memmove(piece.to.data(), piece.from, piece.to.size());  // ranges of one process may overlap
  } else {
    piece.status = read_foreign(piece.pid, piece.from, piece.to);
  }
}

std::size_t CopyCrew::size_here() {
  return std::clamp<std::size_t>(std::thread::hardware_concurrency() / 4, 1, kCopyThreadsMax);
}

CopyCrew::~CopyCrew() {
  {
    MutexLock lock(mutex_);
    stopping_ = true;
    more_.notify_all();
  }
  for (std::thread& helper : helpers_) helper.join();
}

void CopyCrew::copy(std::span<CopyPiece> pieces) {
  while (helpers_.size() + 1 < std::min(size_, pieces.size()) && add_helper()) {
  }
  MutexLock lock(mutex_);
  pieces_ = pieces;
  for (std::size_t i = 1; i < pieces.size(); ++i) more_.notify_one();
  while (CopyPiece* const piece = take()) {
    mutex_.unlock();
    copy_piece(*piece);
    mutex_.lock();
    --running_;
  }
  while (running_ > 0) done_.wait(mutex_);
}

/// @return false if the system lets this process have no more threads: then those that there are copy all.
bool CopyCrew::add_helper() {
  try {
    helpers_.emplace_back([this] { work(); });
    return true;
  } catch (const std::system_error& error) {
    size_ = helpers_.size() + 1;
    log_warn("transfer: {} threads copy, not more: {}", size_, error.what());
    return false;
  }
}

void CopyCrew::work() {
  pthread_setname_np(pthread_self(), "transfer-copy");
  MutexLock lock(mutex_);
  while (!stopping_) {
    CopyPiece* const piece = take();
    if (piece == nullptr) {
      more_.wait(mutex_);
      continue;
    }
    mutex_.unlock();
    copy_piece(*piece);
    mutex_.lock();
    if (--running_ == 0) done_.notify_one();
  }
}

CopyPiece* CopyCrew::take() {
  if (pieces_.empty()) return nullptr;
  CopyPiece* const next = &pieces_.front();
  pieces_ = pieces_.subspan(1);
  ++running_;
  return next;
}

}  // namespace mooncake::transfer
