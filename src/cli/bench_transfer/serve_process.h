// ServeProcess: a `mooncake transfer serve` that a benchmark starts for itself, and that ends with it.
#pragma once

#include <cstdint>
#include <string>

#include "base/status.h"
#include "cli/bench_transfer/child_output.h"
#include "cli/up/child_process.h"
#include "transfer/auth/auth_config.h"

namespace mooncake::cli {

class ServeProcess {
 public:
  /// Starts `program` (this binary) with a segment of so many bytes, and waits until it serves whoever proves what
  /// `auth` asks for. From the thread that lives as long as the process (child_process.h).
  /// @return kUnavailable with what it printed.
  static Result<ServeProcess> start(const std::string& program, std::uint64_t bytes, const transfer::AuthConfig& auth);

  /// "127.0.0.1:PORT".
  [[nodiscard]] const std::string& endpoint() const { return endpoint_; }
  [[nodiscard]] pid_t pid() const { return child_.pid(); }

 private:
  ServeProcess(ChildOutput output, ChildProcess child) : output_(std::move(output)), child_(std::move(child)) {}

  ChildOutput output_;
  ChildProcess child_;
  std::string endpoint_;
};

}  // namespace mooncake::cli
