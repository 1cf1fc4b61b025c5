// CopyCrew: a few threads that copy together with the loop's, because one core moves less than the memory of a large
// machine can. They start with the first copy that is worth it.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <span>
#include <thread>
#include <vector>

#include "base/bytes.h"
#include "base/mutex.h"
#include "base/status.h"

namespace mooncake::transfer {

/// Threads that copy, the loop's included. Four move about what the memory channels of half a socket can, and leave its
/// other cores to the engines.
inline constexpr std::size_t kCopyThreadsMax = 4;

/// A piece of a copy: bytes of this process, or of another, to memory here.
struct CopyPiece {
  ByteSpan to;
  const std::byte* from = nullptr;  ///< an address here, or in process `pid`
  pid_t pid = 0;                    ///< 0: this process
  Status status = {};               ///< set by copy(); kPermissionDenied: the process may not be read
};

/// Copies it here and now.
void copy_piece(CopyPiece& piece);

/// One thread may use it at a time.
class CopyCrew {
 public:
  /// `size` > 0: threads, the caller's included.
  explicit CopyCrew(std::size_t size) : size_(size) {}
  ~CopyCrew();
  CopyCrew(const CopyCrew&) = delete;
  CopyCrew& operator=(const CopyCrew&) = delete;

  /// As many as this process has cores for: a quarter of them, as the rest compute, and at most kCopyThreadsMax.
  static std::size_t size_here();

  [[nodiscard]] std::size_t size() const { return size_; }
  /// Copies all of them at once, in no order, and returns when that is done. No byte that one writes may another read
  /// or write.
  void copy(std::span<CopyPiece> pieces) EXCLUDES(mutex_);

 private:
  void work() EXCLUDES(mutex_);
  CopyPiece* take() REQUIRES(mutex_);

  bool add_helper();

  std::size_t size_;
  std::vector<std::thread> helpers_;
  Mutex mutex_;
  CondVar more_;
  CondVar done_;
  std::span<CopyPiece> pieces_ GUARDED_BY(mutex_);  // from the next to be taken
  std::size_t running_ GUARDED_BY(mutex_) = 0;      // taken, and not copied yet
  bool stopping_ GUARDED_BY(mutex_) = false;
};

}  // namespace mooncake::transfer
