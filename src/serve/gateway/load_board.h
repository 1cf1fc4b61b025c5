// LoadBoard: the few numbers that the HTTP threads need about the cluster, published by the loop. Thread-safe.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include "base/time.h"

namespace mooncake::serve {

struct LoadBoard {
  std::atomic<std::uint32_t> prefill_up{0};
  std::atomic<std::uint32_t> decode_up{0};
  std::atomic<std::uint32_t> in_flight{0};
  /// Until then even an empty prompt would break the TTFT objective on every prefill worker, by what they last
  /// reported.
  std::atomic<Instant> busy_until{Instant{}};

  [[nodiscard]] std::uint32_t workers_up() const { return prefill_up + decode_up; }
  [[nodiscard]] bool ready() const { return prefill_up > 0 && decode_up > 0; }
};

/// Counts one request as in flight while it lives. Move-only.
class InFlight {
 public:
  explicit InFlight(std::shared_ptr<LoadBoard> board) : board_(std::move(board)) { ++board_->in_flight; }
  InFlight(InFlight&& other) noexcept = default;
  InFlight& operator=(InFlight&&) = delete;
  ~InFlight() {
    if (board_ != nullptr) --board_->in_flight;
  }

 private:
  std::shared_ptr<LoadBoard> board_;  // shared: a request may outlive the service by a moment
};

}  // namespace mooncake::serve
