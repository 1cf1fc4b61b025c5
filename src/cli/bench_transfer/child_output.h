// ChildOutput: where a child process (up/child_process.h) prints to when its parent wants to read it: memory, not a
// file.
#pragma once

#include <string>

#include "base/status.h"
#include "base/unique_fd.h"

namespace mooncake::cli {

class ChildOutput {
 public:
  /// @return kExhausted with the system's reason.
  static Result<ChildOutput> create();

  /// A path that ChildProcess::start() of this process can open.
  [[nodiscard]] std::string path() const;
  /// What has been printed so far, at most the first MiB of it.
  [[nodiscard]] std::string text() const;

 private:
  explicit ChildOutput(UniqueFd fd) : fd_(std::move(fd)) {}

  UniqueFd fd_;
};

}  // namespace mooncake::cli
