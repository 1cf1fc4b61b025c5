// Chains: operations in flight side by side for a fixed time, each started from the callback of the one before it in
// its chain. Nothing waits for a single operation, so what is measured is the engine and not how fast a thread wakes.
//
// Each chain's state is touched by one callback at a time; run() waits for the last of them.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "base/mutex.h"
#include "base/status.h"
#include "base/time.h"

namespace mooncake::cli {

class Chains {
 public:
  using Done = std::function<void(Status)>;
  /// Starts one operation of a chain; `done` is called once, later, from any thread.
  using Start = std::function<void(std::uint32_t chain, Done done)>;

  struct Seen {
    double seconds = 0;
    std::vector<double> latency_us;  ///< of every operation of every chain
  };

  Chains(std::uint32_t count, Start start) : start_(std::move(start)), chains_(count) {}

  /// Runs every chain for `duration`; the operations that are then in flight are waited for, and count.
  /// @return the first failure, which ends its chain at once.
  Result<Seen> run(Nanos duration) EXCLUDES(mutex_);

 private:
  struct Chain {
    std::vector<double> latency_us;
    Instant started;
    Status status;
  };

  void next(std::uint32_t chain);
  void ended(std::uint32_t chain, Status status);

  const Start start_;
  const SteadyClock clock_;
  std::vector<Chain> chains_;
  Instant end_;
  Mutex mutex_;
  CondVar all_ended_;
  std::uint32_t running_ GUARDED_BY(mutex_) = 0;
};

}  // namespace mooncake::cli
