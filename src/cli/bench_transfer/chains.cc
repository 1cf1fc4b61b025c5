#include "cli/bench_transfer/chains.h"

#include <chrono>

namespace mooncake::cli {

Result<Chains::Seen> Chains::run(Nanos duration) {
  {
    const MutexLock lock(mutex_);
    running_ = static_cast<std::uint32_t>(chains_.size());
  }
  const Instant begin = clock_.now();
  end_ = begin + duration;
  for (std::uint32_t i = 0; i < chains_.size(); ++i) next(i);
  {
    const MutexLock lock(mutex_);
    while (running_ > 0) all_ended_.wait(mutex_);
  }
  Seen seen{.seconds = std::chrono::duration<double>(clock_.now() - begin).count(), .latency_us = {}};
  for (Chain& chain : chains_) {
    MC_RETURN_IF_ERROR(chain.status);
    seen.latency_us.insert(seen.latency_us.end(), chain.latency_us.begin(), chain.latency_us.end());
    chain = {};
  }
  return seen;
}

void Chains::next(std::uint32_t chain) {
  chains_[chain].started = clock_.now();
  start_(chain, [this, chain](Status status) { ended(chain, std::move(status)); });
}

void Chains::ended(std::uint32_t number, Status status) {
  Chain& chain = chains_[number];
  const Instant now = clock_.now();
  chain.latency_us.push_back(std::chrono::duration<double, std::micro>(now - chain.started).count());
  if (status.ok() && now < end_) return next(number);
  chain.status = std::move(status);
  const MutexLock lock(mutex_);
  --running_;
  all_ended_.notify_all();  // under the lock: whoever waits may destroy this object next
}

}  // namespace mooncake::cli
