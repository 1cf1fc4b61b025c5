// HandlerTable: who answers which method, and who is told of lost peers. Handlers run on the executor. Thread-safe.
#pragma once

#include <absl/container/flat_hash_map.h>

#include <memory>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "transfer/transfer_engine.h"

namespace mooncake::transfer {

class HandlerTable {
 public:
  explicit HandlerTable(Executor& executor) : executor_(executor) {}

  /// CHECK-fails for a method that has a handler.
  void serve(std::uint16_t method, Handler handler) EXCLUDES(mutex_);
  void on_peer_lost(PeerLostHandler handler) EXCLUDES(mutex_);

  /// Posts the call to its handler, or runs it now if `here` is where it belongs. @return false, with nothing done, if
  /// the method has none.
  bool dispatch(PeerHandle from, std::uint32_t method, std::string payload, Responder::Send send, bool here)
      EXCLUDES(mutex_);
  /// Posts the news of a lost peer.
  void peer_lost(PeerHandle peer) EXCLUDES(mutex_);

 private:
  Executor& executor_;
  Mutex mutex_;
  // Shared with the calls that wait on the executor, which may outlive the engine.
  absl::flat_hash_map<std::uint32_t, std::shared_ptr<const Handler>> handlers_ GUARDED_BY(mutex_);
  std::vector<std::shared_ptr<const PeerLostHandler>> lost_ GUARDED_BY(mutex_);
};

}  // namespace mooncake::transfer
