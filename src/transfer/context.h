// Context: what the parts of one engine share. Owned by the engine; outlives all of them.
#pragma once

#include <memory>

#include "base/executor.h"
#include "net/event_loop.h"
#include "transfer/frame.h"
#include "transfer/handler_table.h"
#include "transfer/rdma/rdma_host.h"
#include "transfer/segment_table.h"
#include "transfer/shm/pool_set.h"
#include "transfer/stats_table.h"
#include "transfer/transfer_engine.h"

namespace mooncake::transfer {

struct Context {
  /// `executor_in` null: the loop runs the user's callbacks.
  Context(TransferConfig config_in, Executor* executor_in, std::uint64_t seed)
      : config(std::move(config_in)),
        loop(net::EventLoop::create("transfer-io")),
        executor(executor_in != nullptr ? *executor_in : *loop),
        segments(seed),
        handlers(executor) {}

  const TransferConfig config;
  const std::unique_ptr<net::EventLoop> loop;  ///< owns all sockets, peers and operations of the engine
  Executor& executor;                          ///< runs the user's callbacks
  SegmentTable segments;
  StatsTable stats;
  HandlerTable handlers;
  PoolSet pools;
  std::unique_ptr<RdmaHost> rdma;  ///< null: no RDMA; set before the loop starts, used on it
  Hello hello;                     ///< ours; complete before the first connection
};

}  // namespace mooncake::transfer
