// MasterService: the directory (key to nodes) and the membership of one cluster.
//
// Soft state, all of it: a restarted master knows nobody until nodes rejoin with their block reports, and what a live
// node holds is found again then. A member is active while its connection lives and its heartbeats come; a broken
// connection ends its epoch at once, silence ends it after three seconds, and the directory forgets its objects.
//
// Threads: create and destroy anywhere, except that the executor must not be blocked meanwhile; state belongs to the
// executor.
//
// Source: docs/store.md.
#pragma once

#include <memory>

#include "base/executor.h"
#include "base/status.h"
#include "base/time.h"
#include "transfer/transfer_engine.h"

namespace mooncake {
class Metrics;
}

namespace mooncake::store {

struct MasterConfig {
  Millis heartbeat_timeout{3'000};  ///< silence that ends a member's epoch
};

class MasterService {
 public:
  /// Serves join, heartbeat, publish, locate and watch on `engine`; ready when it returns. One per engine; `engine`,
  /// `executor` (the engine's) and `metrics` must outlive it.
  /// @return kInvalidArgument for a bad config.
  static Result<std::unique_ptr<MasterService>> create(MasterConfig config, transfer::TransferEngine& engine,
                                                       Executor& executor, Metrics& metrics);
  virtual ~MasterService() = default;
};

}  // namespace mooncake::store
