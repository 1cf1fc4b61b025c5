#include "transfer/auth/secret_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "base/unique_fd.h"
#include "transfer/fd.h"

namespace mooncake::transfer {
namespace {

/// Whether the file's mode keeps its content from others; asked of the open file, so that it cannot be another one.
Status check_mode(int fd, const std::string& path, std::string_view what) {
  struct stat file {};
  if (::fstat(fd, &file) != 0) return {Code::kNotFound, fmt::format("the {} {}: {}", what, path, errno_text(errno))};
  if (!S_ISREG(file.st_mode)) return {Code::kInvalidArgument, fmt::format("the {} {} is no file", what, path)};
  const mode_t others = file.st_uid == 0 ? S_IRWXO | S_IWGRP : S_IRWXO | S_IRWXG;
  if ((file.st_mode & others) == 0) return {};
  return {Code::kPermissionDenied,
          fmt::format("the {} {} has mode {:04o}, so others than its owner may use it: chmod 600 {}", what, path,
                      file.st_mode & 07777u, path)};
}

}  // namespace

Result<std::string> read_secret_file(const std::string& path, std::string_view what) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd.valid()) {
    return Status(Code::kNotFound, fmt::format("the {} {} cannot be read: {}", what, path, errno_text(errno)));
  }
  MC_RETURN_IF_ERROR(check_mode(fd.get(), path, what));
  std::string bytes(kSecretFileBytesMax + 1, '\0');
  std::size_t have = 0;
  while (have < bytes.size()) {
    const ssize_t count = ::read(fd.get(), bytes.data() + have, bytes.size() - have);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return Status(Code::kNotFound, fmt::format("the {} {}: {}", what, path, errno_text(errno)));
    if (count == 0) break;
    have += static_cast<std::size_t>(count);
  }
  if (have > kSecretFileBytesMax) {
    return Status(Code::kInvalidArgument,
                  fmt::format("{} is longer than {} bytes: no {}", path, kSecretFileBytesMax, what));
  }
  bytes.resize(have);
  return bytes;
}

}  // namespace mooncake::transfer
