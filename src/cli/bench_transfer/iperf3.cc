#include "cli/bench_transfer/iperf3.h"

#include <fmt/core.h>
#include <poll.h>
#include <unistd.h>

#include <csignal>
#include <nlohmann/json.hpp>

#include "cli/bench_transfer/child_output.h"
#include "transfer/fd.h"

namespace mooncake::cli {
namespace {

/// A server that has just been started takes connections after some milliseconds; a client that came too early is
/// started again, with this pause in between.
constexpr int kTriesMax = 50;
constexpr Millis kPause{20};
/// iperf3 ends some tenths of a second after the time it was given.
constexpr Seconds kPatience{10};

/// A port that nobody listens on right now.
Result<std::string> free_port() {
  MC_ASSIGN_OR_RETURN(const transfer::Endpoint any, transfer::parse_endpoint("127.0.0.1:0"));
  MC_ASSIGN_OR_RETURN(const UniqueFd socket, transfer::listen_tcp(any));
  MC_ASSIGN_OR_RETURN(const transfer::Endpoint endpoint, transfer::local_endpoint(socket.get()));
  const std::string text = transfer::format_endpoint(endpoint);
  return text.substr(text.rfind(':') + 1);
}

bool ends_within(const ChildProcess& child, Millis patience) {
  pollfd wait{.fd = child.exit_fd(), .events = POLLIN, .revents = 0};
  return ::poll(&wait, 1, static_cast<int>(patience.count())) == 1;
}

}  // namespace

Result<Iperf3Result> parse_iperf3(std::string_view text) {
  const auto json = nlohmann::json::parse(text, nullptr, false);
  if (!json.is_object()) return Status(Code::kCorrupt, fmt::format("iperf3 printed no JSON: {}", text.substr(0, 200)));
  if (const auto error = json.find("error"); error != json.end() && error->is_string()) {
    return Status(Code::kUnavailable, "iperf3: " + error->get<std::string>());
  }
  const auto number = [&](const char* pointer) {
    const nlohmann::json::json_pointer at(pointer);
    return json.contains(at) && json.at(at).is_number() ? json.at(at).get<double>() : -1.0;
  };
  const double bits_per_s = number("/end/sum_received/bits_per_second");
  const double client_percent = number("/end/cpu_utilization_percent/host_total");
  const double server_percent = number("/end/cpu_utilization_percent/remote_total");
  if (bits_per_s <= 0 || client_percent < 0 || server_percent < 0) {
    return Status(Code::kCorrupt, "iperf3 printed no rate or no CPU time");
  }
  const double gb_per_s = bits_per_s / 8e9;
  return Iperf3Result{.gb_per_s = gb_per_s, .cpu_s_per_gb = (client_percent + server_percent) / 100 / gb_per_s};
}

Result<std::string> find_program(std::string_view name, std::string_view path) {
  while (!path.empty()) {
    const std::size_t end = std::min(path.find(':'), path.size());
    const std::string candidate = fmt::format("{}/{}", path.substr(0, end), name);
    if (end > 0 && ::access(candidate.c_str(), X_OK) == 0) return candidate;
    path.remove_prefix(std::min(end + 1, path.size()));
  }
  return Status(Code::kNotFound, fmt::format("{} is not installed (apt-get install {})", name, name));
}

Result<Iperf3> Iperf3::start(std::string_view path) {
  MC_ASSIGN_OR_RETURN(std::string program, find_program("iperf3", path));
  MC_ASSIGN_OR_RETURN(std::string port, free_port());
  MC_ASSIGN_OR_RETURN(ChildProcess server,
                      ChildProcess::start(program, {"--server", "--bind", "127.0.0.1", "--port", port}, "/dev/null"));
  return Iperf3(std::move(program), std::move(port), std::move(server));
}

Result<Iperf3Result> Iperf3::run(std::uint32_t streams, Seconds duration) {
  auto result = run_once(streams, duration);
  for (int i = 1; i < kTriesMax && !result.ok() && result.status().code() == Code::kUnavailable; ++i) {
    if (ends_within(server_, kPause)) return Status(Code::kUnavailable, "iperf3's server has ended");
    result = run_once(streams, duration);
  }
  return result;
}

Result<Iperf3Result> Iperf3::run_once(std::uint32_t streams, Seconds duration) {
  MC_ASSIGN_OR_RETURN(const ChildOutput output, ChildOutput::create());
  MC_ASSIGN_OR_RETURN(ChildProcess client, ChildProcess::start(program_,
                                                               {"--client", "127.0.0.1", "--port", port_, "--length",
                                                                "1M", "--parallel", std::to_string(streams), "--time",
                                                                std::to_string(duration.count()), "--json"},
                                                               output.path()));
  if (!ends_within(client, duration + kPatience)) return Status(Code::kDeadlineExceeded, "iperf3 does not end");
  static_cast<void>(client.reap());
  return parse_iperf3(output.text());
}

}  // namespace mooncake::cli
