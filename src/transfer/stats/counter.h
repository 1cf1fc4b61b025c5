// Counter: a number that only rises, counted by one thread and read by any.
#pragma once

#include <atomic>
#include <cstdint>

namespace mooncake::transfer {

/// One thread adds, any may read. So an addition needs no locked instruction, which takes 10 ns.
class Counter {
 public:
  void add(std::uint64_t count = 1) {
    value_.store(value_.load(std::memory_order_relaxed) + count, std::memory_order_relaxed);
  }
  [[nodiscard]] std::uint64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_{0};
};

}  // namespace mooncake::transfer
