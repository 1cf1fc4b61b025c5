// Context: what the parts of one engine share. Owned by the engine; outlives all of them.
#pragma once

#include <memory>

#include "base/executor.h"
#include "transfer/frame.h"
#include "transfer/handler_table.h"
#include "transfer/io_loop.h"
#include "transfer/segment_table.h"
#include "transfer/shm/pool_set.h"
#include "transfer/stats_table.h"
#include "transfer/transfer_engine.h"

namespace mooncake::transfer {

struct Context {
  Context(TransferConfig config_in, Executor& executor_in, std::uint64_t seed)
      : config(std::move(config_in)), executor(executor_in), segments(seed), handlers(executor_in) {}

  const TransferConfig config;
  Executor& executor;  ///< runs the user's callbacks
  SegmentTable segments;
  StatsTable stats;
  HandlerTable handlers;
  PoolSet pools;
  Hello hello;  ///< ours; complete before the first connection
  std::unique_ptr<IoLoop> loop;
};

}  // namespace mooncake::transfer
