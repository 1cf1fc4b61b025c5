// BenchFile: a file of noise for a benchmark, in a directory of the user's choice. It has no name there, so that it is
// gone with the process however that ends; other processes open it by path() meanwhile.
#pragma once

#include <cstdint>
#include <string>

#include "base/status.h"
#include "base/unique_fd.h"

namespace mooncake::cli {

class BenchFile {
 public:
  /// Writes all of it to the disk: blocks that were never written are read without one. `bytes` is a multiple of 1 MiB.
  /// @return kUnavailable with the system's reason; kExhausted if it would leave less room than it takes.
  static Result<BenchFile> create(const std::string& directory, std::uint64_t bytes);

  /// Any process of the same user can open it by this, as long as this object lives.
  [[nodiscard]] std::string path() const;
  [[nodiscard]] std::uint64_t bytes() const { return bytes_; }

 private:
  BenchFile(UniqueFd fd, std::uint64_t bytes) : fd_(std::move(fd)), bytes_(bytes) {}

  UniqueFd fd_;
  std::uint64_t bytes_;
};

}  // namespace mooncake::cli
