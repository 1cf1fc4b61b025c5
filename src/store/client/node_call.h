// NodeCall: one message to a node, together with the buffers that it may touch while it works on it.
//
// However the call ends, its answer is passed on only when the buffers are back.
//
// Threads: everything on the engine's executor. Held by shared_ptr, because callbacks of the engine outlive calls.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "store/client/lent_buffers.h"
#include "transfer/transfer_engine.h"

namespace mooncake::store {

class NodeCall : public std::enable_shared_from_this<NodeCall> {
 public:
  explicit NodeCall(transfer::TransferEngine& engine) : engine_(engine), buffers_(engine) {}

  /// For lending, before start().
  [[nodiscard]] LentBuffers& buffers() { return buffers_; }
  /// Sends. `done` comes once; never inside this call.
  void start(const std::string& endpoint, std::uint16_t method, std::string payload, Deadline deadline,
             transfer::CallCallback done);
  /// Ends a started call with kCancelled, without waiting for its answer. Afterwards the engine is not touched any
  /// more.
  void cancel();

 private:
  void end(Result<std::string> answer);

  transfer::TransferEngine& engine_;
  LentBuffers buffers_;
  transfer::CallCallback done_;
  bool ended_ = false;
};

}  // namespace mooncake::store
