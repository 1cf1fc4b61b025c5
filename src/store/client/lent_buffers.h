// LentBuffers: the buffers of one message, registered for exactly as long as a node may touch them.
//
// Each buffer is a segment of its own, so that a node that was given one can reach nothing else; and a late access
// meets a segment that is gone instead of memory that is somebody else's by now.
//
// Threads: everything on the engine's executor.
#pragma once

#include <absl/functional/any_invocable.h>

#include <vector>

#include "base/bytes.h"
#include "transfer/transfer_engine.h"

namespace mooncake::store {

class LentBuffers {
 public:
  explicit LentBuffers(transfer::TransferEngine& engine) : engine_(engine) {}
  LentBuffers(const LentBuffers&) = delete;
  LentBuffers& operator=(const LentBuffers&) = delete;

  Result<transfer::SegmentHandle> lend(ByteSpan buffer, transfer::Access access);
  /// Revokes all; `done` runs when nobody touches any of them any more, possibly before this returns.
  void take_back(absl::AnyInvocable<void()> done);

 private:
  transfer::TransferEngine& engine_;
  std::vector<transfer::SegmentHandle> segments_;
};

}  // namespace mooncake::store
