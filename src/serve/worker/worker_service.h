// WorkerService: one prefill or decode worker of the cluster, ready to be wired into a process: it loads the engine,
// takes its memory, serves the worker's methods (serve/methods.h) and joins the cluster.
//
//   gateway --Prefill--> prefill worker --Reserve, KVCache blocks, Join--> decode worker --Tokens--> gateway
//
// Nothing a worker holds survives it: requests in flight are retried elsewhere by the gateway.
//
// Threads: its state belongs to `loop`. Create, call and destroy it on the loop, or while the loop does not run. The
// engine runs on a thread of its own, which the destructor ends.
// Source: docs/serving.md, workers.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/executor.h"
#include "base/metrics.h"
#include "base/status.h"
#include "base/time.h"
#include "engine/engine.h"
#include "store/client/store_client.h"
#include "transfer/transfer_engine.h"

namespace mooncake::serve {

enum class WorkerRole : std::uint8_t { kPrefill, kDecode };

/// "prefill" or "decode", as on the command line and in membership. @return kInvalidArgument, naming the choices.
Result<WorkerRole> parse_worker_role(std::string_view name);
std::string_view worker_role_name(WorkerRole role);

struct WorkerConfig {
  WorkerRole role = WorkerRole::kPrefill;
  std::string name;             ///< unique in the cluster: "prefill-0"
  engine::EngineConfig engine;  ///< sequences_max: 1 is enough for prefill; decode: requests in one batch
  std::string master;           ///< transfer endpoint of the master; empty: join no cluster (tests)
  std::string attached_node;    ///< store node that puts go to first; empty: any
  /// Prefill: staging of prompts in work. Decode: landing area of prompts on their way in. Requests wait at the limit;
  /// one whose prompt needs more than this is refused. The memory is taken lazily.
  std::uint64_t arena_bytes = 512ull << 20;
  std::uint32_t requests_max = 1024;      ///< held at once, in whatever state; more are refused with kExhausted
  Nanos request_time_max = Seconds(600);  ///< a request's deadline is capped to this
};

/// What a worker tells its owner. Either may be empty.
struct WorkerCallbacks {
  /// The master knows this worker. Once, on the loop.
  std::function<void()> joined{};
  /// A gateway asked for the other role, and no request is left, or request_time_max has passed since: the owner
  /// destroys the service and creates one of that role. Once, on the loop. Empty: a worker that is asked refuses.
  std::function<void(WorkerRole)> take_role{};
};

class WorkerService {
 public:
  /// Loads the engine (blocking, seconds for a large model), takes the arena and joins the cluster. `transfer`, `loop`
  /// and `metrics` must outlive it.
  /// @return what make_engine() says; kExhausted without memory for the arena; kInvalidArgument for a bad config.
  static Result<std::unique_ptr<WorkerService>> create(WorkerConfig config, transfer::TransferEngine& transfer,
                                                       Executor& loop, Metrics& metrics,
                                                       WorkerCallbacks callbacks = {});
  /// For tests and embedding: as above, with an engine and a store client (may be null: no reuse) of the caller's. The
  /// store client must outlive the service.
  static Result<std::unique_ptr<WorkerService>> create_with(WorkerConfig config, std::unique_ptr<engine::Engine> engine,
                                                            store::StoreClient* store,
                                                            transfer::TransferEngine& transfer, Executor& loop,
                                                            Metrics& metrics, WorkerCallbacks callbacks = {});
  virtual ~WorkerService() = default;

  /// The model it serves.
  [[nodiscard]] virtual const engine::ModelInfo& model() const = 0;

  /// Refuses new requests from now on, lets those it has finish, and calls `done` on the loop when none is left or at
  /// `deadline`, whichever comes first. Once; it takes the place of a change of role that waits for the same.
  virtual void drain(Deadline deadline, Task done) = 0;
};

}  // namespace mooncake::serve
