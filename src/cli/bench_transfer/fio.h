// fio, which our transport `file` is compared with: the same blocks of the same file, as many of them in flight.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/status.h"
#include "base/time.h"
#include "cli/bench_transfer/file_load.h"

namespace mooncake::cli {

struct FioResult {
  double gb_per_s = 0;
  double cpu_s_per_gb = 0;

  bool operator==(const FioResult&) const = default;
};

/// Reads what `fio --output-format=json` printed about its one job, which did only `op`; warnings may come before it.
/// @return kUnavailable with fio's own words if it failed, kCorrupt if a figure is missing.
Result<FioResult> parse_fio(std::string_view text, transfer::TransferRequest::Op op);

class Fio {
 public:
  /// `path` is PATH. @return kNotFound, with what to do, if it is not installed.
  static Result<Fio> find(std::string_view path);

  /// Reads or writes the first `bytes` bytes of `file`, which has as many, one block after the other and again, past
  /// the page cache and through io_uring. Blocks. @return as parse_fio(); kDeadlineExceeded if it does not end.
  [[nodiscard]] Result<FioResult> run(const std::string& file, std::uint64_t bytes, transfer::TransferRequest::Op op,
                                      Nanos duration) const;

 private:
  explicit Fio(std::string program) : program_(std::move(program)) {}

  std::string program_;
};

}  // namespace mooncake::cli
