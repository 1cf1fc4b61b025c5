// LocalPeer: the engine as a peer of itself. Calls go to the handlers without a socket; bulk goes by mem, by file if
// it names one, by cuda if it names memory of a device. Its epoch ends with the engine. Loop thread only.
#pragma once

#include "transfer/call_table.h"
#include "transfer/context.h"
#include "transfer/cuda/cuda_transport.h"
#include "transfer/file/file_transport.h"
#include "transfer/mem/mem_transport.h"
#include "transfer/peer.h"
#include "transfer/slice_queue.h"

namespace mooncake::transfer {

class LocalPeer final : public Peer {
 public:
  using PostReply = std::function<void(PeerHandle, std::uint64_t request_id, Result<std::string>)>;

  LocalPeer(Context& context, PeerHandle handle, PostReply post_reply);

  void call(std::uint16_t method, std::string payload, Deadline deadline, CallCallback done) override;
  void reply(std::uint64_t request_id, Result<std::string> result) override {
    calls_.complete(request_id, std::move(result));
  }
  void submit(std::shared_ptr<Batch::State> batch) override { queue_.submit(std::move(batch)); }
  void stop(const std::shared_ptr<Batch::State>& batch, const Status& why) override { queue_.stop(batch, why); }
  void revoke(SegmentHandle segment) override {
    mem_.revoke(segment);
    cuda_.revoke(segment);
    file_.revoke(segment);
  }
  void pool_gone(std::uint64_t pool) override { file_.pool_gone(pool); }
  void end(const Status& why) override;

 private:
  SliceQueue::Hooks queue_hooks();
  void notify(const SliceQueue::BatchPtr& batch);

  Context& context_;
  const PeerHandle handle_;
  PostReply post_reply_;
  std::uint64_t last_id_ = 0;
  CallTable calls_;
  SliceQueue queue_;
  MemTransport mem_;
  CudaTransport cuda_;
  FileTransport file_;
};

}  // namespace mooncake::transfer
