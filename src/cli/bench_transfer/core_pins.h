// CorePins: keeps processes on chosen cores for as long as it lives.
//
// A round trip between two processes takes some 5 us when the scheduler has put both on one core, and up to ten times
// as much when each wakes the other's core from its sleep. Left alone it does now one, now the other; so what is
// compared is measured in a placement that is the same for both.
#pragma once

#include <sched.h>
#include <sys/types.h>

#include <cstdint>
#include <vector>

#include "base/status.h"

namespace mooncake::cli {

enum class Placement : std::uint8_t { kOneCore, kTwoCores };

class CorePins {
 public:
  /// Moves all threads of this process and of `other`, which run both on cores that this thread may use: together to
  /// the first of those, or to the first two. Threads that are made later are where their maker is.
  /// @return kUnavailable if the kernel refuses, or there is no second core.
  static Result<CorePins> set(pid_t other, Placement placement);

  CorePins(CorePins&& moved) noexcept;
  CorePins& operator=(CorePins&&) = delete;
  /// All of them may use every core again that they could before.
  ~CorePins();

 private:
  CorePins(pid_t other, const cpu_set_t& before) : other_(other), before_(before) {}

  pid_t other_;  ///< 0 once moved from
  cpu_set_t before_;
};

}  // namespace mooncake::cli
