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

  /// For lending, before prepare().
  [[nodiscard]] LentBuffers& buffers() { return buffers_; }
  /// Says what to send, and who is told how it ended: once, and never inside send().
  void prepare(std::string endpoint, std::uint16_t method, std::string payload, transfer::CallCallback done);
  /// Sends what was prepared.
  void send(Deadline deadline);
  /// Ends a prepared or sent call with kCancelled, without waiting for its answer. The engine is not touched
  /// afterwards.
  void cancel();

 private:
  void end(Result<std::string> answer);

  transfer::TransferEngine& engine_;
  LentBuffers buffers_;
  std::string endpoint_;
  std::uint16_t method_ = 0;
  std::string payload_;
  transfer::CallCallback done_;
  bool ended_ = false;
};

}  // namespace mooncake::store
