#include "cli/bench_transfer/serve_process.h"

#include <fmt/core.h>
#include <poll.h>

#include <algorithm>
#include <iterator>
#include <nlohmann/json.hpp>

#include "base/time.h"
#include "cli/auth_options.h"

namespace mooncake::cli {
namespace {

/// Filling the largest segment with noise takes half a minute.
constexpr Seconds kReadyWait{60};

/// Its next line, or "" once none can come any more.
std::string await_line(ChildProcess& child) {
  const SteadyClock clock;
  const Deadline deadline = clock.now() + kReadyWait;
  for (;;) {
    std::string line = child.read_ready();
    if (!line.empty() || child.ready_fd() < 0) return line;
    pollfd wait{.fd = child.ready_fd(), .events = POLLIN, .revents = 0};
    if (::poll(&wait, 1, static_cast<int>(remaining_ms(deadline, clock.now()))) <= 0) return "";
  }
}

}  // namespace

Result<ServeProcess> ServeProcess::start(const std::string& program, std::uint64_t bytes,
                                         const transfer::AuthConfig& auth) {
  MC_ASSIGN_OR_RETURN(ChildOutput output, ChildOutput::create());
  std::vector<std::string> arguments = {"transfer",   "serve",
                                        "--listen",   "127.0.0.1:0",
                                        "--bytes",    std::to_string(bytes),
                                        "--ready-fd", std::to_string(kReadyFd)};
  std::ranges::move(auth_arguments(auth), std::back_inserter(arguments));
  MC_ASSIGN_OR_RETURN(ChildProcess child, ChildProcess::start(program, arguments, output.path()));
  ServeProcess process(std::move(output), std::move(child));
  const auto json = nlohmann::json::parse(await_line(process.child_), nullptr, false);
  const auto endpoint = json.is_object() ? json.find("endpoint") : json.end();
  if (endpoint == json.end() || !endpoint->is_string()) {
    return Status(Code::kUnavailable, fmt::format("`transfer serve` does not start: {}", process.output_.text()));
  }
  process.endpoint_ = endpoint->get<std::string>();
  return process;
}

}  // namespace mooncake::cli
