#include "cli/bench_transfer/run_program.h"

#include <fmt/core.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>

#include "cli/bench_transfer/child_output.h"

namespace mooncake::cli {

Result<std::string> find_program(std::string_view name, std::string_view path) {
  while (!path.empty()) {
    const std::size_t end = std::min(path.find(':'), path.size());
    const std::string candidate = fmt::format("{}/{}", path.substr(0, end), name);
    if (end > 0 && ::access(candidate.c_str(), X_OK) == 0) return candidate;
    path.remove_prefix(std::min(end + 1, path.size()));
  }
  return Status(Code::kNotFound, fmt::format("{} is not installed (apt-get install {})", name, name));
}

bool ends_within(const ChildProcess& child, Millis patience) {
  pollfd wait{.fd = child.exit_fd(), .events = POLLIN, .revents = 0};
  return ::poll(&wait, 1, static_cast<int>(patience.count())) == 1;
}

Result<std::string> run_program(const std::string& program, const std::vector<std::string>& arguments,
                                Millis patience) {
  MC_ASSIGN_OR_RETURN(const ChildOutput output, ChildOutput::create());
  MC_ASSIGN_OR_RETURN(ChildProcess child, ChildProcess::start(program, arguments, output.path()));
  if (!ends_within(child, patience)) {
    return Status(Code::kDeadlineExceeded, fmt::format("{} does not end", program.substr(program.rfind('/') + 1)));
  }
  static_cast<void>(child.reap());
  return output.text();
}

}  // namespace mooncake::cli
