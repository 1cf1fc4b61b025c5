// TransferNode: a transfer engine in a tool that is no member of a cluster, and the thread that its callbacks run on.
#pragma once

#include <memory>

#include "base/status.h"
#include "net/event_loop.h"
#include "transfer/transfer_engine.h"

namespace mooncake::cli {

class TransferNode {
 public:
  /// @return as TransferEngine::create().
  static Result<std::unique_ptr<TransferNode>> create(transfer::TransferConfig config);
  /// Ends the engine first: its last callbacks still have a thread.
  ~TransferNode();
  TransferNode(const TransferNode&) = delete;
  TransferNode& operator=(const TransferNode&) = delete;

  [[nodiscard]] transfer::TransferEngine& engine() { return *engine_; }

 private:
  TransferNode() = default;

  std::unique_ptr<net::EventLoop> loop_;
  std::unique_ptr<transfer::TransferEngine> engine_;
};

}  // namespace mooncake::cli
