// Peer: one epoch of one peer, as the engine drives it. RemotePeer talks over sockets; LocalPeer is the engine itself.
// Loop thread only.
#pragma once

#include <memory>
#include <string>

#include "transfer/batch.h"
#include "transfer/transfer_engine.h"

namespace mooncake::transfer {

class Peer {
 public:
  virtual ~Peer() = default;

  /// As TransferEngine::call; `done` runs on the loop.
  virtual void call(std::uint16_t method, std::string payload, Deadline deadline, CallCallback done) = 0;
  /// Answers a call of this peer.
  virtual void reply(std::uint64_t request_id, Result<std::string> result) = 0;
  /// Starts a batch that has been checked, and whose local memory is held.
  virtual void submit(std::shared_ptr<Batch::State> batch) = 0;  // shared with the user's Batch
  /// Ends a batch early.
  virtual void stop(const std::shared_ptr<Batch::State>& batch, const Status& why) = 0;
  /// Lets go of a segment of ours as soon as the medium allows.
  virtual void revoke(SegmentHandle segment) = 0;
  /// A shared pool of ours was freed.
  virtual void pool_gone(std::uint64_t pool) = 0;
  /// Ends the epoch: everything in flight fails with `why`.
  virtual void end(const Status& why) = 0;
};

}  // namespace mooncake::transfer
