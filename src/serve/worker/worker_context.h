// WorkerContext: what every part of one worker shares. Borrowed by all of them; WorkerService owns what it names.
#pragma once

#include <memory>

#include "base/executor.h"
#include "kvcache/block_key.h"
#include "serve/worker/arena.h"
#include "serve/worker/engine_runner.h"
#include "serve/worker/protocol.h"
#include "serve/worker/token_sender.h"
#include "serve/worker/worker_metrics.h"
#include "serve/worker/worker_service.h"
#include "store/client/store_client.h"
#include "transfer/transfer_engine.h"

namespace mooncake::serve {

/// Longest wait for cached blocks; then the prompt is computed as if there were none. Far above any healthy fetch (tens
/// of ms), and no more than what a node takes to be declared dead, plus a retry.
inline constexpr Seconds kFetchTimeout{5};
/// Longest wait for blocks to be in the store; an answer's end waits for it.
inline constexpr Seconds kPublishTimeout{5};

struct WorkerContext {
  const WorkerConfig& config;
  Executor& loop;
  transfer::TransferEngine& transfer;
  store::StoreClient* store;  ///< null: nothing is reused or published
  EngineRunner& runner;
  WorkerMetrics& metrics;
  std::shared_ptr<Arena> arena;  // shared: leases outlive the worker while transfers end
  ProtocolLimits limits;
  Key128 model;  ///< of the keys of its blocks

  /// What a request's blocks are named by.
  [[nodiscard]] kvcache::KeyScope scope(const std::string& cache_salt) const {
    return {.model = model, .lora = {}, .tenant = cache_salt};
  }
  [[nodiscard]] Instant now() const { return loop.clock().now(); }
  [[nodiscard]] std::uint32_t block_tokens() const { return runner.facts().layout.block_tokens; }
  [[nodiscard]] std::uint64_t block_bytes() const { return runner.facts().layout.block_bytes; }
  /// Blocks that `tokens` tokens touch, the partial one included.
  [[nodiscard]] std::uint32_t blocks_of(std::uint32_t tokens) const {
    return (tokens + block_tokens() - 1) / block_tokens();
  }
  /// The part of `lease` for its `index`-th block.
  [[nodiscard]] ByteSpan block(const Arena::Lease& lease, std::uint32_t index) const {
    return lease.bytes().subspan(index * block_bytes(), block_bytes());
  }
};

}  // namespace mooncake::serve
