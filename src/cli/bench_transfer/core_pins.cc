#include "cli/bench_transfer/core_pins.h"

#include <fmt/core.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <filesystem>
#include <string>
#include <utility>

#include "transfer/fd.h"

namespace mooncake::cli {
namespace {

/// Every thread of the process. @return false if one of them could not be moved, or there is no such process.
bool move_threads(pid_t process, const cpu_set_t& cores) {
  std::error_code error;
  bool moved = false;
  for (const auto& task : std::filesystem::directory_iterator(fmt::format("/proc/{}/task", process), error)) {
    const std::string name = task.path().filename();
    pid_t thread = 0;
    std::from_chars(name.data(), name.data() + name.size(), thread);
    // A thread that has ended meanwhile is no failure.
    if (::sched_setaffinity(thread, sizeof cores, &cores) != 0 && errno != ESRCH) return false;
    moved = true;
  }
  return moved && !error;
}

std::vector<cpu_set_t> cores_of(const cpu_set_t& all) {
  std::vector<cpu_set_t> cores;
  for (int core = 0; core < CPU_SETSIZE; ++core) {
    if (!CPU_ISSET(core, &all)) continue;
    CPU_ZERO(&cores.emplace_back());
    CPU_SET(core, &cores.back());
  }
  return cores;
}

}  // namespace

Result<CorePins> CorePins::set(pid_t other, Placement placement) {
  cpu_set_t before;
  if (::sched_getaffinity(0, sizeof before, &before) != 0) {
    return Status(Code::kUnavailable, "sched_getaffinity: " + transfer::errno_text(errno));
  }
  const std::vector<cpu_set_t> cores = cores_of(before);
  const std::size_t second = placement == Placement::kTwoCores ? 1 : 0;
  if (cores.size() <= second) return Status(Code::kUnavailable, "there is no second core");
  CorePins pins(other, before);
  if (!move_threads(::getpid(), cores[0]) || !move_threads(other, cores[second])) {
    return Status(Code::kUnavailable, "the kernel does not move threads between cores");
  }
  return pins;
}

CorePins::CorePins(CorePins&& moved) noexcept : other_(std::exchange(moved.other_, 0)), before_(moved.before_) {}

CorePins::~CorePins() {
  if (other_ == 0) return;
  move_threads(::getpid(), before_);
  move_threads(other_, before_);
}

}  // namespace mooncake::cli
