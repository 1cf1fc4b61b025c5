#include "transfer/file/file_error.h"

#include <fmt/format.h>

#include <cerrno>

#include "transfer/fd.h"

namespace mooncake::transfer {
namespace {

Code code_of(int error) {
  switch (error) {
    case ENOENT:
    case ENOTDIR:
    case ENXIO:
      return Code::kNotFound;
    case EACCES:
    case EPERM:
    case EROFS:
      return Code::kPermissionDenied;
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
    case EMFILE:
    case ENFILE:
    case ENOMEM:
      return Code::kExhausted;
    case EISDIR:
    case EINVAL:
    case ELOOP:
    case ENAMETOOLONG:
      return Code::kInvalidArgument;
    case EBADMSG:  // a file system that keeps checksums
    case EUCLEAN:
      return Code::kCorrupt;
    case ECANCELED:
      return Code::kCancelled;
    default:  // EIO, EBUSY, ESTALE, ETIMEDOUT, ...
      return Code::kUnavailable;
  }
}

std::string_view advice(int error) {
  switch (error) {
    case ENOSPC:
      return "; make room on its file system";
    case EDQUOT:
      return "; raise the quota of its owner or make room";
    case EFBIG:
      return "; raise the limit of file sizes (ulimit -f)";
    case EMFILE:
      return "; raise the limit of open files (ulimit -n)";
    case EBUSY:
      return "; unmount the device, or unregister it where it is in use";
    case EIO:
      return "; the device failed: see the kernel's log";
    default:
      return "";
  }
}

}  // namespace

Status file_error(std::string_view what, int error) {
  return {code_of(error), fmt::format("{}: {}{}", what, errno_text(error), advice(error))};
}

}  // namespace mooncake::transfer
