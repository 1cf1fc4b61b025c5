#include "transfer/file/open_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "base/log.h"
#include "transfer/file/file_error.h"

namespace mooncake::transfer {
namespace {

/// Only the owner may read what an engine writes: KVCache tells what users wrote.
constexpr mode_t kNewFileMode = 0600;

/// The alignment of direct access; memory 0: there is none.
DirectAlign direct_align(int fd, bool device) {
  struct statx answer {};
  if (::statx(fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &answer) == 0 && (answer.stx_mask & STATX_DIOALIGN) != 0) {
    if (answer.stx_dio_offset_align == 0) return {0, 0};
    return {answer.stx_dio_mem_align, answer.stx_dio_offset_align};
  }
  int sector = 0;  // kernels before 6.1, and file systems that do not say
  if (device && ::ioctl(fd, BLKSSZGET, &sector) == 0 && sector > 0) {
    return {static_cast<std::size_t>(sector), static_cast<std::size_t>(sector)};
  }
  return {};
}

}  // namespace

Result<std::unique_ptr<const OpenFile>> OpenFile::open(const std::string& path, const FileOptions& options) {
  std::unique_ptr<OpenFile> file(new OpenFile(path));
  MC_RETURN_IF_ERROR(file->open_buffered(options));
  MC_RETURN_IF_ERROR(file->measure(options));
  file->open_direct();
  return std::unique_ptr<const OpenFile>(std::move(file));
}

/// A device that is written is opened exclusively: then it is neither mounted nor registered to be written elsewhere.
Status OpenFile::open_buffered(const FileOptions& options) {
  writable_ = options.writable;
  struct stat before {};
  const bool exists = ::stat(path_.c_str(), &before) == 0;
  if (exists && !S_ISREG(before.st_mode) && !S_ISBLK(before.st_mode)) {
    return {Code::kInvalidArgument, fmt::format("{} is neither a regular file nor a block device", path_)};
  }
  int flags = O_CLOEXEC | O_NOCTTY | (writable_ ? O_RDWR : O_RDONLY);
  if (writable_ && options.bytes > 0 && !exists) flags |= O_CREAT;
  if (writable_ && exists && S_ISBLK(before.st_mode)) flags |= O_EXCL;
  buffered_ = UniqueFd(::open(path_.c_str(), flags, kNewFileMode));
  if (!buffered_.valid()) return file_error(fmt::format("cannot open {}", path_), errno);
  return {};
}

Status OpenFile::measure(const FileOptions& options) {
  struct stat now {};
  if (::fstat(buffered_.get(), &now) != 0) return file_error(fmt::format("cannot examine {}", path_), errno);
  device_ = S_ISBLK(now.st_mode);
  if (!device_ && !S_ISREG(now.st_mode)) {  // another one meanwhile
    return {Code::kInvalidArgument, fmt::format("{} is neither a regular file nor a block device", path_)};
  }
  id_ = device_ ? FileId{now.st_rdev, 0} : FileId{now.st_dev, now.st_ino};
  auto has = static_cast<std::uint64_t>(now.st_size);
  if (device_ && ::ioctl(buffered_.get(), BLKGETSIZE64, &has) != 0) {
    return file_error(fmt::format("cannot ask for the size of {}", path_), errno);
  }
  bytes_ = options.bytes == 0 ? has : options.bytes;
  if (bytes_ == 0) return {Code::kInvalidArgument, fmt::format("{} is empty: say how many bytes it shall have", path_)};
  if (bytes_ <= has) return {};
  if (device_ || !writable_) {
    return {Code::kInvalidArgument, fmt::format("{} has {} bytes, {} are asked for", path_, has, bytes_)};
  }
  return grow(bytes_);
}

/// Allocates: so a full disk shows here rather than in the middle of a batch.
Status OpenFile::grow(std::uint64_t bytes) const {
  if (bytes > static_cast<std::uint64_t>(std::numeric_limits<off_t>::max())) {
    return {Code::kInvalidArgument, fmt::format("{} cannot have {} bytes", path_, bytes)};
  }
  const auto size = static_cast<off_t>(bytes);
  if (::fallocate(buffered_.get(), 0, 0, size) == 0) return {};
  if (errno == EOPNOTSUPP && ::ftruncate(buffered_.get(), size) == 0) return {};
  return file_error(fmt::format("cannot extend {} to {} bytes", path_, bytes), errno);
}

void OpenFile::open_direct() {
  align_ = direct_align(buffered_.get(), device_);
  if (align_.memory == 0 || align_.offset == 0) return;
  // By the descriptor, not by the path: that may be another file by now.
  const std::string self = fmt::format("/proc/self/fd/{}", buffered_.get());
  direct_ = UniqueFd(::open(self.c_str(), O_CLOEXEC | O_DIRECT | (writable_ ? O_RDWR : O_RDONLY)));
  if (!direct_.valid()) log_debug("transfer: {} goes through the page cache: {}", path_, errno_text(errno));
}

bool OpenFile::fits_direct(ConstByteSpan memory, std::uint64_t offset) const {
  return direct_.valid() && reinterpret_cast<std::uintptr_t>(memory.data()) % align_.memory == 0 &&
         offset % align_.offset == 0 && memory.size() % align_.offset == 0;
}

}  // namespace mooncake::transfer
