#include "cli/bench_transfer/bench_file.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <stdlib.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <vector>

#include "cli/transfer/segment_service.h"
#include "transfer/fd.h"

namespace mooncake::cli {
namespace {

constexpr std::uint64_t kPieceBytes = 1 << 20;

Status failed(const std::string& directory, std::string_view what) {
  return {Code::kUnavailable, fmt::format("{}: {}: {}", directory, what, transfer::errno_text(errno))};
}

/// That the file, which may be the only large one, does not fill somebody's disk.
Status check_room(const std::string& directory, std::uint64_t bytes) {
  struct statvfs room {};
  if (::statvfs(directory.c_str(), &room) != 0) return failed(directory, "statvfs");
  const std::uint64_t free = std::uint64_t{room.f_bavail} * room.f_frsize;
  if (free / 2 >= bytes) return {};
  return {Code::kExhausted, fmt::format("{} has {} MiB free, and twice the file's {} MiB are asked for", directory,
                                        free >> 20, bytes >> 20)};
}

/// In pieces of noise that differ, because devices and file systems may compress or share equal blocks.
Status fill(int fd, std::uint64_t bytes, const std::string& directory) {
  std::vector<std::byte> piece(kPieceBytes);
  for (std::uint64_t at = 0; at < bytes; at += kPieceBytes) {
    fill_with_noise(piece, at + 1);
    if (::pwrite(fd, piece.data(), piece.size(), static_cast<off_t>(at)) != static_cast<ssize_t>(piece.size())) {
      return failed(directory, "write");
    }
  }
  if (::fdatasync(fd) != 0) return failed(directory, "fdatasync");
  static_cast<void>(::posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED));  // only costs memory if it is not done
  return {};
}

}  // namespace

Result<BenchFile> BenchFile::create(const std::string& directory, std::uint64_t bytes) {
  CHECK(bytes % kPieceBytes == 0);
  MC_RETURN_IF_ERROR(check_room(directory, bytes));
  std::string name = directory + "/.mooncake-bench-XXXXXX";
  UniqueFd fd(::mkostemp(name.data(), O_CLOEXEC));
  if (!fd.valid()) return failed(directory, "a file cannot be made there");
  if (::unlink(name.c_str()) != 0) return failed(directory, "unlink");
  MC_RETURN_IF_ERROR(fill(fd.get(), bytes, directory));
  return BenchFile(std::move(fd), bytes);
}

std::string BenchFile::path() const { return fmt::format("/proc/{}/fd/{}", ::getpid(), fd_.get()); }

}  // namespace mooncake::cli
