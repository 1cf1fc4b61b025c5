// For tests: file systems and block devices of our own making. Needs root; without, the tests that want them are
// skipped.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/loop.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cerrno>
#include <functional>
#include <string>
#include <thread>

#include "base/check.h"
#include "transfer/fd.h"

namespace mooncake::transfer {

/// Runs `body` on a thread with mounts of its own: nobody else sees them, and they vanish with the thread.
/// @return false, with nothing run, where that is not allowed.
inline bool with_private_mounts(const std::function<void()>& body) {
  bool allowed = false;
  std::thread([&] {
    allowed = ::unshare(CLONE_NEWNS) == 0 && ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0;
    if (allowed) body();
  }).join();
  return allowed;
}

/// An image file as a block device, until this is destroyed and nobody has it open.
class LoopDevice {
 public:
  explicit LoopDevice(const std::string& image) {
    const UniqueFd control(::open("/dev/loop-control", O_RDWR | O_CLOEXEC));
    const UniqueFd backing(::open(image.c_str(), O_RDWR | O_CLOEXEC));
    if (!control.valid() || !backing.valid()) return;
    for (int tries = 0; tries < 16; ++tries) {  // somebody else may take the free one first
      const int number = ::ioctl(control.get(), LOOP_CTL_GET_FREE);
      if (number < 0) return;
      path_ = "/dev/loop" + std::to_string(number);
      device_ = UniqueFd(::open(path_.c_str(), O_RDWR | O_CLOEXEC));
      loop_config config{};
      config.fd = static_cast<unsigned>(backing.get());
      config.info.lo_flags = LO_FLAGS_AUTOCLEAR;
      if (device_.valid() && ::ioctl(device_.get(), LOOP_CONFIGURE, &config) == 0) return;
      device_ = UniqueFd();
      if (errno != EBUSY) return;
    }
  }

  [[nodiscard]] bool valid() const { return device_.valid(); }
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
  UniqueFd device_;
};

}  // namespace mooncake::transfer
