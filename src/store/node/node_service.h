// NodeService: a store node, the process (or part of one) that owns the bytes of objects.
//
// It allocates a pool of shareable memory, joins the master, and answers put and get on its transfer engine. It decides
// everything about its objects (allocation, checksums, eviction); the master only learns what it holds. When the master
// is away it goes on serving gets, and refuses puts at once with kUnavailable, because they could not be published; it
// rejoins by itself and reports every object.
//
// Threads: create and destroy anywhere, except that the executor must not be blocked meanwhile; state belongs to the
// executor. joined() from any thread.
//
// Source: docs/store.md.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>

#include "base/bytes.h"
#include "base/executor.h"
#include "base/status.h"
#include "store/core/node_core.h"
#include "transfer/transfer_engine.h"

namespace mooncake {
class Metrics;
}

namespace mooncake::store {

struct NodeConfig {
  std::string name;    ///< unique in the cluster, "node-0"
  std::string master;  ///< transfer endpoint of the master; it need not be up yet
  std::size_t pool_bytes = 512u << 20;
  std::size_t page_bytes = 16u << 10;      ///< unit of allocation for objects of this size or more; a power of two
  double high_watermark = 0.90;            ///< background reclaim keeps used pages at or below this share of the pool
  std::string eviction{kDefaultEviction};  ///< who goes when room is needed: one of node_eviction_names()
  ByteSpan pool;                           ///< memory to use instead of allocating pool_bytes; outlives the engine
};

class NodeService {
 public:
  /// Allocates the pool, serves put and get on `engine`, and starts joining. One per engine; `engine`, `executor` (the
  /// engine's) and `metrics` must outlive it. `on_joined` runs on the executor after the first join, block report
  /// included.
  /// @return kInvalidArgument for a bad config, kExhausted when there is no memory for the pool.
  static Result<std::unique_ptr<NodeService>> create(const NodeConfig& config, transfer::TransferEngine& engine,
                                                     Executor& executor, Metrics& metrics,
                                                     std::function<void()> on_joined = {});
  /// Leaves the cluster. Callers in flight get kUnavailable; transfers in flight keep the pool alive until they end.
  virtual ~NodeService() = default;

  /// True while a master knows this node and all it holds: for /readyz. Any thread.
  [[nodiscard]] virtual bool joined() const = 0;
};

}  // namespace mooncake::store
