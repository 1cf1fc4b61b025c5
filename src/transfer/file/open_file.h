// OpenFile: a file or block device that is a segment. Opened twice: through the page cache, and, where the file system
// offers it, past it (O_DIRECT), which saves a copy and needs aligned memory, offset and length.
#pragma once

#include <sys/types.h>

#include <compare>
#include <cstdint>
#include <memory>
#include <string>

#include "base/bytes.h"
#include "base/status.h"
#include "transfer/fd.h"
#include "transfer/transfer_engine.h"

namespace mooncake::transfer {

/// Which file it is, by whatever path it was opened.
struct FileId {
  dev_t device = 0;
  ino_t inode = 0;
  auto operator<=>(const FileId&) const = default;
};

/// What O_DIRECT asks for, in bytes.
struct DirectAlign {
  std::size_t memory = 4096;  ///< of the address
  std::size_t offset = 4096;  ///< of offset and length
};

/// Immutable once open; thread-safe.
class OpenFile {
 public:
  /// As TransferEngine::register_file. Blocks.
  static Result<std::unique_ptr<const OpenFile>> open(const std::string& path, const FileOptions& options);

  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] FileId id() const { return id_; }
  /// Of the segment.
  [[nodiscard]] std::uint64_t bytes() const { return bytes_; }
  [[nodiscard]] bool writable() const { return writable_; }
  /// Whether such an access may go past the page cache.
  [[nodiscard]] bool fits_direct(ConstByteSpan memory, std::uint64_t offset) const;
  /// Of the open file; `direct` only if an access fits.
  [[nodiscard]] int fd(bool direct) const { return direct ? direct_.get() : buffered_.get(); }

 private:
  explicit OpenFile(std::string path) : path_(std::move(path)) {}

  Status open_buffered(const FileOptions& options);
  Status measure(const FileOptions& options);
  Status grow(std::uint64_t bytes) const;
  void open_direct();

  const std::string path_;
  FileId id_;
  std::uint64_t bytes_ = 0;
  bool writable_ = false;
  bool device_ = false;
  DirectAlign align_;
  UniqueFd buffered_;
  UniqueFd direct_;
};

}  // namespace mooncake::transfer
