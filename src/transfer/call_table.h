// CallTable: the calls towards one peer that wait for a reply. Each ends once: by its reply, its deadline, or with the
// peer. Loop thread only.
#pragma once

#include <absl/container/flat_hash_map.h>

#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

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
  /// size of the message, `transport` what it goes by: a literal.
  void add(std::uint64_t id, std::size_t bytes, std::string_view transport, Deadline deadline, CallCallback done);
  /// The same for the notify of a batch, which is counted with the batch and no call.
  void add_notify(std::uint64_t id, CallCallback done);
  /// Ends the call; late replies find none, and do nothing.
  void complete(std::uint64_t id, Result<std::string> result);
  /// Ends the call without a word.
  void forget(std::uint64_t id);
  void fail_all(const Status& why);

  /// The peer has another name now.
  void renamed() { counters_.clear(); }
  /// Of the calls to the peer, and from it, by that transport.
  CallCounters& counters(std::string_view transport);

 private:
  struct Call {
    CallCallback done;
    TimerId timer{0};
    Instant begun{};
    std::string_view transport = {};  // empty: it does not count
  };

  void count(std::uint64_t id, const Call& call, const Result<std::string>& result);

  Context& context_;
  const Peer peer_;
  std::vector<std::pair<std::string_view, CallCounters*>> counters_;  // by transport, once used
  absl::flat_hash_map<std::uint64_t, Call> calls_;
};

}  // namespace mooncake::transfer
