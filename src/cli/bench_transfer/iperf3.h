// iperf3 on loopback, which our tcp is compared with: found, started and read by the benchmark itself.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/status.h"
#include "base/time.h"
#include "cli/up/child_process.h"

namespace mooncake::cli {

struct Iperf3Result {
  double gb_per_s = 0;      ///< that arrived
  double cpu_s_per_gb = 0;  ///< of both processes

  bool operator==(const Iperf3Result&) const = default;
};

/// Reads what `iperf3 --json` printed. @return kUnavailable with iperf3's own error, kCorrupt if a figure is missing.
Result<Iperf3Result> parse_iperf3(std::string_view json);

/// The first executable `name` in a list of directories like PATH. @return kNotFound.
Result<std::string> find_program(std::string_view name, std::string_view path);

/// A server of iperf3, and runs against it.
class Iperf3 {
 public:
  /// Starts a server at a free port. `path` is PATH. @return kNotFound, with what to do, if it is not installed.
  static Result<Iperf3> start(std::string_view path);

  /// Sends with `streams` connections, in pieces of 1 MiB, for whole seconds. Blocks. @return as parse_iperf3();
  /// kDeadlineExceeded if it does not end.
  Result<Iperf3Result> run(std::uint32_t streams, Seconds duration);

 private:
  Iperf3(std::string program, std::string port, ChildProcess server)
      : program_(std::move(program)), port_(std::move(port)), server_(std::move(server)) {}
  Result<Iperf3Result> run_once(std::uint32_t streams, Seconds duration);

  std::string program_;
  std::string port_;
  ChildProcess server_;
};

}  // namespace mooncake::cli
