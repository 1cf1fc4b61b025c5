// FifoBudget: a bounded amount of something (KVCache tokens, landing bytes) and of holders, given out strictly in the
// order of asking. A large request at the head waits for room and nobody overtakes it, so nobody starves.
//
// Pure: no clock, no thread, no I/O. Thread-compatible.
#pragma once

#include <absl/container/flat_hash_map.h>

#include <cstdint>
#include <deque>
#include <optional>

#include "base/status.h"
#include "conductor/conductor.h"

namespace mooncake::conductor {

class FifoBudget {
 public:
  struct Limits {
    std::uint32_t holders_max = 1;
    std::uint64_t amount_max = 0;
    std::uint32_t waiting_max = 4096;  ///< queued askers
  };

  explicit FifoBudget(Limits limits) : limits_(limits) {}

  /// Queues `request` for `amount`. grant() says when it holds it.
  /// @return kOutOfRange if it could never fit, kAlreadyExists if it asks or holds already, kExhausted at waiting_max.
  Status ask(RequestNumber request, std::uint64_t amount);

  /// Gives the oldest asker what it asked for, if there is room now. Call until it returns nothing.
  std::optional<RequestNumber> grant();

  /// Takes back what `request` holds, or ends its waiting. @return false if it did neither. O(waiting) when it waits.
  bool release(RequestNumber request);

  [[nodiscard]] bool holds(RequestNumber request) const { return holders_.contains(request); }
  [[nodiscard]] std::uint32_t waiting() const { return static_cast<std::uint32_t>(waiting_.size()); }
  [[nodiscard]] std::uint32_t holders() const { return static_cast<std::uint32_t>(holders_.size()); }
  [[nodiscard]] std::uint64_t amount() const { return amount_; }
  [[nodiscard]] const Limits& limits() const { return limits_; }

 private:
  struct Asker {
    RequestNumber request{};
    std::uint64_t amount = 0;
  };

  Limits limits_;
  std::uint64_t amount_ = 0;  // held by all holders
  std::deque<Asker> waiting_;
  absl::flat_hash_map<RequestNumber, std::uint64_t> holders_;
};

}  // namespace mooncake::conductor
