// NodeContext: what every operation of a node works on, and the queue of puts that wait for one another or for room.
//
// Threads: everything on the executor. Shared by the service and by operations in flight, which keep the pool's books
// until the transfer engine has let go of their memory.
#pragma once

#include <absl/container/flat_hash_map.h>

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <vector>

#include "base/executor.h"
#include "store/core/node_core.h"
#include "store/node/node_metrics.h"
#include "store/node/object_pool.h"
#include "store/node/publisher.h"
#include "transfer/transfer_engine.h"

namespace mooncake::store {

/// Operations in flight on one node; each holds a decoded message of up to 1 MiB.
inline constexpr std::size_t kOperationsMax = 1'024;
/// An operation ends by then, whatever its caller's deadline says: nothing may stay pinned for ever.
inline constexpr Seconds kOperationTimeMax{60};
/// Objects evicted in one go by background reclaim, so that requests get their turn in between.
inline constexpr std::size_t kReclaimObjectsMax = 256;

class NodeContext : public std::enable_shared_from_this<NodeContext> {
 public:
  NodeContext(transfer::TransferEngine& engine_in, const NodeCoreConfig& config, ByteSpan pool_in, Metrics& metrics_in)
      : engine(engine_in), executor(engine_in.executor()), core(config), pool(pool_in), metrics(metrics_in) {}

  /// Publishes changes of the core, and starts reclaim when the pool is above its watermark.
  void changed(NodeChanges changes);
  /// A put or a pin has ended: whoever waits for that tries again, soon.
  void released();
  [[nodiscard]] Deadline deadline_after(std::int64_t ms) const;

  /// Asked again after every release, in the order of their coming, until they say true: no longer waiting.
  std::deque<std::function<bool()>> waiting_for_room;
  /// By key: run when the put of that key that is under way has ended.
  absl::flat_hash_map<Key128, std::vector<std::function<void()>>> waiting_for_twin;
  /// The put of `key` has ended.
  void twin_ended(const Key128& key);
  /// The node ends: whoever waits finds it stopped.
  void stop();

  transfer::TransferEngine& engine;
  Executor& executor;
  NodeCore core;
  ObjectPool pool;
  NodeMetrics metrics;
  std::shared_ptr<Publisher> publisher;  // shared: callbacks of the engine find it by weak_ptr
  std::size_t operations = 0;
  bool stopped = false;

 private:
  void retry_waiting();
  void reclaim();

  bool retry_posted_ = false;
  bool reclaim_posted_ = false;
  std::uint64_t evictions_counted_ = 0;
};

}  // namespace mooncake::store
