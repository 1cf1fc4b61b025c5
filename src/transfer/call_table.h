// CallTable: the calls towards one peer that wait for a reply. Each ends once: by its reply, its deadline, or with the
// peer. Loop thread only.
#pragma once

#include <absl/container/flat_hash_map.h>

#include <string>

#include "net/event_loop.h"
#include "transfer/transfer_engine.h"

namespace mooncake::transfer {

/// A gateway has one call per token batch and request in flight; at 4,096 the callee is stuck, not busy.
inline constexpr std::size_t kCallsMax = 4096;

class CallTable {
 public:
  explicit CallTable(net::EventLoop& loop) : loop_(loop) {}

  [[nodiscard]] bool full() const { return calls_.size() >= kCallsMax; }
  /// `done` runs on the loop, with kDeadlineExceeded if nothing else ends the call before `deadline`.
  void add(std::uint64_t id, Deadline deadline, CallCallback done);
  /// Ends the call; late replies find none, and do nothing.
  void complete(std::uint64_t id, Result<std::string> result);
  /// Ends the call without a word.
  void forget(std::uint64_t id);
  void fail_all(const Status& why);

 private:
  struct Call {
    CallCallback done;
    TimerId timer{0};
  };

  net::EventLoop& loop_;
  absl::flat_hash_map<std::uint64_t, Call> calls_;
};

}  // namespace mooncake::transfer
