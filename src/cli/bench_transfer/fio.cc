#include "cli/bench_transfer/fio.h"

#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>

#include "cli/bench_transfer/run_program.h"

namespace mooncake::cli {
namespace {

/// It counts in milliseconds, and begins with some of them.
constexpr Millis kDurationMin{50};
/// It starts and ends within a second; a device that hangs takes it along.
constexpr Millis kPatience{10'000};

/// Its own words: "fio: engine io_uring not loadable".
Status failed(std::string_view text) {
  const std::string_view line = text.substr(0, std::min<std::size_t>(text.find('\n'), 200));
  return {Code::kUnavailable, line.starts_with("fio: ") ? std::string(line) : fmt::format("fio: {}", line)};
}

}  // namespace

Result<FioResult> parse_fio(std::string_view text, transfer::TransferRequest::Op op) {
  const std::size_t begin = std::min(text.find('{'), text.size());
  const auto json = nlohmann::json::parse(text.substr(begin), nullptr, false);
  if (!json.is_object()) {
    return begin == 0 ? Status(Code::kCorrupt, "fio printed no JSON") : failed(text.substr(0, begin));
  }
  const auto number = [&](const std::string& pointer) {
    const nlohmann::json::json_pointer at("/jobs/0/" + pointer);
    return json.contains(at) && json.at(at).is_number() ? json.at(at).get<double>() : -1.0;
  };
  const std::string direction(op_name(op));
  if (number("error") > 0) return failed(begin > 0 ? text : fmt::format("error {:.0f}", number("error")));
  const double bytes = number(direction + "/io_bytes");
  const double bytes_per_s = number(direction + "/bw_bytes");
  const double user = number("usr_cpu");
  const double system = number("sys_cpu");
  const double ms = number("job_runtime");
  if (bytes <= 0 || bytes_per_s <= 0 || user < 0 || system < 0 || ms <= 0) {
    return Status(Code::kCorrupt, "fio printed no rate or no CPU time");
  }
  return FioResult{.gb_per_s = bytes_per_s / 1e9, .cpu_s_per_gb = (user + system) / 100 * ms / 1e3 / (bytes / 1e9)};
}

Result<Fio> Fio::find(std::string_view path) {
  MC_ASSIGN_OR_RETURN(std::string program, find_program("fio", path));
  return Fio(std::move(program));
}

Result<FioResult> Fio::run(const std::string& file, std::uint64_t bytes, transfer::TransferRequest::Op op,
                           Nanos duration) const {
  const Millis ms = std::max(kDurationMin, std::chrono::ceil<Millis>(duration));
  MC_ASSIGN_OR_RETURN(const std::string text,
                      run_program(program_,
                                  {"--name=mooncake", "--filename=" + file, fmt::format("--size={}", bytes),
                                   fmt::format("--rw={}", op_name(op)), fmt::format("--bs={}", kFileBlockBytes),
                                   "--ioengine=io_uring", "--direct=1", fmt::format("--iodepth={}", kFileDepth),
                                   fmt::format("--runtime={}ms", ms.count()), "--time_based", "--output-format=json"},
                                  ms + kPatience));
  return parse_fio(text, op);
}

}  // namespace mooncake::cli
