// CallTable: the calls towards one peer that wait for a reply. Each ends once: by its reply, its deadline, or with the
// peer. Loop thread only.
#pragma once

#include <absl/container/flat_hash_map.h>

#include <functional>
#include <string>

#include "transfer/context.h"

namespace mooncake::transfer {

/// A gateway has one call per token batch and request in flight; at 4,096 the callee is stuck, not busy.
inline constexpr std::size_t kCallsMax = 4096;

class CallTable {
 public:
  /// Whom the calls are to, for statistics.
  struct Peer {
    PeerHandle handle;
    std::function<std::string_view()> name;  ///< may change until renamed()
  };

  CallTable(Context& context, Peer peer) : context_(context), peer_(std::move(peer)) {}

  [[nodiscard]] bool full() const { return calls_.size() >= kCallsMax; }
  /// `done` runs on the loop, with kDeadlineExceeded if nothing else ends the call before `deadline`. `bytes` is the
  /// size of the message.
  void add(std::uint64_t id, std::size_t bytes, Deadline deadline, CallCallback done);
  /// The same for the notify of a batch, which is counted with the batch and no call.
  void add_notify(std::uint64_t id, CallCallback done);
  /// Ends the call; late replies find none, and do nothing.
  void complete(std::uint64_t id, Result<std::string> result);
  /// Ends the call without a word.
  void forget(std::uint64_t id);
  void fail_all(const Status& why);

  /// The peer has another name now.
  void renamed() { counters_ = nullptr; }
  /// Of the calls to the peer, and from it.
  CallCounters& counters();

 private:
  struct Call {
    CallCallback done;
    TimerId timer{0};
    Instant begun{};
    bool counts = false;
  };

  void count(std::uint64_t id, const Call& call, const Result<std::string>& result);

  Context& context_;
  const Peer peer_;
  CallCounters* counters_ = nullptr;  // null: not used yet
  absl::flat_hash_map<std::uint64_t, Call> calls_;
};

}  // namespace mooncake::transfer
