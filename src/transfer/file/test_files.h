// For tests: a folder of real files, and an engine that is forbidden io_uring as a sandbox would forbid it.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <liburing.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "transfer/test_node.h"

namespace mooncake::transfer {

/// A new folder that vanishes with its content.
class TempFolder {
 public:
  TempFolder() : path_(testing::TempDir() + "mooncake-files-XXXXXX") { CHECK(::mkdtemp(path_.data()) != nullptr); }
  ~TempFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;

  [[nodiscard]] const std::string& path() const { return path_; }
  /// The path of a file in it, with this content if any.
  [[nodiscard]] std::string file(const std::string& name, ConstByteSpan content = {}) const {
    const std::string path = path_ + "/" + name;
    if (!content.empty()) {
      std::ofstream(path, std::ios::binary)
          .write(reinterpret_cast<const char*>(content.data()), static_cast<std::streamsize>(content.size()));
    }
    return path;
  }

 private:
  std::string path_;
};

/// What any other program reads there. In one go: sanitized builds would spend minutes on single bytes.
inline std::vector<std::byte> content_of(const std::string& path) {
  std::vector<std::byte> content(std::filesystem::file_size(path));
  std::ifstream(path, std::ios::binary)
      .read(reinterpret_cast<char*>(content.data()), static_cast<std::streamsize>(content.size()));
  return content;
}

/// Whether the kernel and the sandbox that the test runs in have io_uring.
inline bool has_io_uring() {
  io_uring ring;
  if (io_uring_queue_init(1, &ring, 0) < 0) return false;
  io_uring_queue_exit(&ring);
  return true;
}

/// Rings that this process has open.
inline int rings_open() {
  int rings = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    std::error_code gone;
    if (std::filesystem::read_symlink(entry.path(), gone) == "anon_inode:[io_uring]") ++rings;
  }
  return rings;
}

/// The calling thread, and those that it starts from now on, may not set up a ring.
inline void forbid_io_uring() {
  sock_filter filter[] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),  // the number of the system call
                          BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
                          BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
                          BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
  const sock_fprog program{4, filter};
  CHECK(::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
  CHECK(::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0);
}

/// An engine that lives, with all its threads, where io_uring is forbidden.
inline std::unique_ptr<TestNode> node_without_io_uring(const TransferConfig& config) {
  std::unique_ptr<TestNode> node;
  std::thread([&] {
    forbid_io_uring();
    node = std::make_unique<TestNode>(config);
  }).join();
  return node;
}

}  // namespace mooncake::transfer
