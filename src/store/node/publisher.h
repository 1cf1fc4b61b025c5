// Publisher: tells the master what changed on a node: in order, in batches, one message in flight, so that what piles
// up during one round trip is the next batch.
//
// Without a session changes are thrown away: the next session begins with a report of everything. When a message fails
// nobody knows whether it was applied; then the session ends, and the next one's report settles it.
//
// Threads: everything on the engine's executor.
#pragma once

#include <absl/functional/any_invocable.h>

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <utility>

#include "base/status.h"
#include "store/client/master_link.h"
#include "store/core/node_core.h"
#include "transfer/transfer_engine.h"

namespace mooncake::store {

/// Changes in one message: 21 bytes each, a third of a message.
inline constexpr std::size_t kChangesPerMessageMax = 16'384;

/// Changes that the master has not heard of, from which on a node takes no new objects: 64 messages, about 50 MB of
/// memory. A master that answers at all clears a message in milliseconds; one that does not ends the session in
/// seconds.
inline constexpr std::size_t kPublishBacklogMax = 64 * kChangesPerMessageMax;

class Publisher : public std::enable_shared_from_this<Publisher> {
 public:
  struct Hooks {
    std::function<void(const NodeChange&)> accepted;  ///< the master knows it
    std::function<void(const NodeChange&)> refused;   ///< a stored object that must go again
    std::function<void()> failed;                     ///< the session is over as far as publishing goes
    std::function<void(double ms)> latency;           ///< of every message that was answered
  };
  using Waiter = absl::AnyInvocable<void(Status)>;

  Publisher(transfer::TransferEngine& engine, Hooks hooks, std::size_t backlog_max = kPublishBacklogMax);

  /// A session has begun; `report` is everything that the node holds.
  void begin(const MasterLink::Session& session, NodeChanges report);
  /// It is over: everybody who waits gets kUnavailable.
  void end();
  [[nodiscard]] bool in_session() const { return in_session_; }

  /// True when the backlog is at its limit: whoever adds objects pushes back. Removals, at most one an object, and the
  /// report at the begin of a session are queued all the same: the master must hear of them.
  [[nodiscard]] bool full() const { return queue_.size() >= backlog_max_; }
  void push(NodeChanges changes);
  /// Calls `waiter` when everything pushed before is accepted or refused, or with kUnavailable. At once if so already.
  void wait(Waiter waiter);

 private:
  void flush();
  void answered(std::size_t count, Instant sent, Result<std::string> answer);

  transfer::TransferEngine& engine_;
  Hooks hooks_;
  const std::size_t backlog_max_;
  bool in_session_ = false;
  bool in_flight_ = false;
  std::uint64_t sessions_ = 0;  // so that answers of earlier sessions are known
  MasterLink::Session session_;
  std::deque<NodeChange> queue_;                          // the first ones may be in flight
  std::uint64_t pushed_ = 0;                              // changes ever queued
  std::uint64_t settled_ = 0;                             // of them, answered
  std::deque<std::pair<std::uint64_t, Waiter>> waiters_;  // by pushed_ at their start, ascending
};

}  // namespace mooncake::store
