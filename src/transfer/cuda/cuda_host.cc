#include "transfer/cuda/cuda_host.h"

#include <fmt/format.h>

namespace mooncake::transfer {

Result<std::unique_ptr<CudaHost>> CudaHost::open(const CudaDriver& driver, int device, net::EventLoop& loop,
                                                 PoolSet& pools) {
  MC_ASSIGN_OR_RETURN(PrimaryContext context, PrimaryContext::retain(driver, device));
  Result<ByteSpan> staging = pools.allocate(kStagingBytesAll);
  if (!staging.ok()) return staging.status().annotate("cuda: the staging ring");
  const CudaScope scope(driver, context.get());
  const CudaResult error = driver.MemHostRegister(staging->data(), staging->size(), kCudaHostRegisterPortable);
  if (error == CudaResult::kSuccess) {
    return std::unique_ptr<CudaHost>(new CudaHost(driver, std::move(context), loop, pools, *staging));
  }
  pools.free(*staging);
  return cuda_error(driver, error, fmt::format("pinning a staging ring of {} bytes (see ulimit -l)", kStagingBytesAll));
}

CudaHost::CudaHost(const CudaDriver& driver, PrimaryContext context, net::EventLoop& loop, PoolSet& pools,
                   ByteSpan staging)
    : driver_(driver),
      context_(std::move(context)),
      loop_(loop),
      pools_(pools),
      staging_(staging),
      pins_(driver, context_.get(), pools),
      ring_(loop, staging),
      lanes_(driver, loop) {}

CudaHost::~CudaHost() {
  lanes_.close();
  {
    const CudaScope scope(driver_, context_.get());
    static_cast<void>(driver_.MemHostUnregister(staging_.data()));
  }
  pools_.free(staging_);
}

std::uint64_t CudaHost::take(SlotUse use, const DeviceUser& user, SlotDone done) {
  ring_.take(++last_id_, use, user.peer, user.segment, std::move(done));
  return last_id_;
}

std::uint64_t CudaHost::fetch(SlotUse use, const DeviceUser& user, ConstByteSpan device, SlotDone done) {
  CHECK(device.size() <= kStagingSlotBytes);
  const std::uint64_t id = ++last_id_;
  ring_.take(id, use, user.peer, user.segment,
             [this, id, segment = user.segment, device, done = std::move(done)](Result<StagingSlot> slot) mutable {
               if (!slot.ok()) return done(std::move(slot));
               std::byte* const to = slot->first(device.size()).data();
               lanes_.push({.id = id,
                            .segment = segment,
                            .to = to,
                            .from = device.data(),
                            .bytes = device.size(),
                            .done = [slot = std::move(*slot), done = std::move(done)](const Status& status) mutable {
                              if (status.ok()) return done(std::move(slot));
                              slot.reset();
                              done(status);
                            }});
             });
  return id;
}

std::uint64_t CudaHost::deliver(StagingSlot slot, const DeviceUser& user, ByteSpan device, CopyDone done) {
  const std::byte* const from = slot.first(device.size()).data();
  return copy(user, device, from, [slot = std::move(slot), done = std::move(done)](Status status) mutable {
    slot.reset();
    done(std::move(status));
  });
}

std::uint64_t CudaHost::copy(const DeviceUser& user, ByteSpan to, const std::byte* from, CopyDone done) {
  lanes_.push({.id = ++last_id_,
               .segment = user.segment,
               .to = to.data(),
               .from = from,
               .bytes = to.size(),
               .done = std::move(done)});
  return last_id_;
}

void CudaHost::revoke(SegmentHandle segment) {
  const Status why(Code::kStale, "the segment was unregistered before the copy began");
  ring_.revoke(segment, why);
  lanes_.revoke(segment, why);
}

void CudaHost::close() {
  ring_.close({Code::kCancelled, "the transfer engine ends"});
  lanes_.close();
}

Result<CudaHost*> LazyCudaHost::open(int device, net::EventLoop& loop, PoolSet& pools) {
  MutexLock lock(mutex_);
  if (!host_) {
    MC_ASSIGN_OR_RETURN(const CudaDriver* driver, load_cuda_driver());
    MC_ASSIGN_OR_RETURN(host_, CudaHost::open(*driver, device, loop, pools));
    ready_.store(host_.get(), std::memory_order_release);
  }
  return host_.get();
}

}  // namespace mooncake::transfer
