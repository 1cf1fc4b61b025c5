// RegistrationCache: the memory that one RDMA device can reach. A registration pins its pages and costs the kernel time
// for each of them, so a whole segment or shared pool is registered once, when the first slice needs it, and kept until
// the segment is unregistered or the pool freed. Whoever uses a registration holds it.
//
// Memory of a GPU is registered by a dma-buf. The kernel lets no memory window be bound to that (ibv_reg_dmabuf_mr(3)
// names the rights that there are), so what peers use is the registration's own key. Hence each right has a
// registration of its own: whoever may read cannot write, and memory that only this engine uses is open to nobody.
//
// Loop thread only: registering blocks it, about 0.1 s for a GB that was never touched.
#pragma once

#include <absl/container/flat_hash_map.h>

#include <memory>
#include <optional>
#include <utility>

#include "base/bytes.h"
#include "base/status.h"
#include "base/time.h"
#include "transfer/cuda/direct_memory.h"
#include "transfer/rdma/verbs.h"
#include "transfer/transfer_engine.h"

namespace mooncake::transfer {

/// A device has room for far more; a process with that many large areas in use has lost count of them.
inline constexpr std::size_t kRegistrationsMax = 4096;
/// A registration that failed is not tried again before: it may have pinned gigabytes before it hit the limit.
inline constexpr Seconds kRegistrationRetry{10};

/// Memory that a device can reach, as long as this lives.
class Registration {
 public:
  /// `gpu`: whose memory it is, if a GPU's.
  Registration(const Verbs& verbs, ibv_mr* region, std::optional<DirectMemory> gpu = std::nullopt)
      : verbs_(verbs), region_(region), gpu_(std::move(gpu)) {}
  ~Registration() { verbs_.dereg_mr(region_); }
  Registration(const Registration&) = delete;
  Registration& operator=(const Registration&) = delete;

  [[nodiscard]] ibv_mr* region() const { return region_; }
  /// Whether a memory window can be bound to it, if its device has windows.
  [[nodiscard]] bool takes_windows() const { return !gpu_.has_value(); }
  /// What the device has written to the memory, and has said so, can be used by the memory's owner after this.
  /// @return as DirectMemory::flush().
  [[nodiscard]] Status settle() const { return gpu_.has_value() ? gpu_->flush() : Status(); }

 private:
  const Verbs& verbs_;
  ibv_mr* region_;
  std::optional<DirectMemory> gpu_;
};
using RegistrationPtr = std::shared_ptr<const Registration>;  // shared by the cache and the slices that use it

/// Names an area: a segment, or a shared pool (`pool` not 0), which many segments may lie in.
struct AreaKey {
  SegmentHandle segment;
  std::uint64_t pool = 0;
  bool operator==(const AreaKey&) const = default;
  template <typename H>
  friend H AbslHashValue(H h, const AreaKey& key) {
    return H::combine(std::move(h), key.segment.index, key.segment.generation, key.pool);
  }
};

/// What peers may do to a GPU's memory by its registration.
enum class RemoteRight : std::uint8_t { kNone, kRead, kWrite };

class RegistrationCache {
 public:
  /// Registers memory of the host in `domain` with these rights (IBV_ACCESS_...).
  RegistrationCache(const Verbs& verbs, ibv_pd* domain, int access) : verbs_(verbs), domain_(domain), access_(access) {}

  /// The registration of an area, which is `memory` as long as drop(key) is not called. @return kExhausted at
  /// kRegistrationsMax and when the kernel may not pin it (RLIMIT_MEMLOCK), kUnavailable when the device refuses it.
  Result<RegistrationPtr> get(const AreaKey& key, ByteSpan memory, Instant now);
  /// The same of an area that is a GPU's memory. @return also kUnsupported, which stays so.
  Result<RegistrationPtr> get_gpu(const AreaKey& key, ByteSpan memory, RemoteRight right, Instant now);
  /// The area is gone. Its memory is unpinned when the last user lets go.
  void drop(const AreaKey& key);

 private:
  struct Entry {
    RegistrationPtr registration;  // null: it failed
    Status failure;
    Instant retry_at{};
  };

  using EntryKey = std::pair<AreaKey, RemoteRight>;  // kNone for memory of the host, whatever its rights
  using Add = Result<RegistrationPtr> (RegistrationCache::*)(ByteSpan memory, RemoteRight right) const;

  Result<RegistrationPtr> get(const EntryKey& key, ByteSpan memory, Instant now, Add add);
  [[nodiscard]] Result<RegistrationPtr> add_host(ByteSpan memory, RemoteRight right) const;
  [[nodiscard]] Result<RegistrationPtr> add_gpu(ByteSpan memory, RemoteRight right) const;
  void tell(const Status& failure);

  const Verbs& verbs_;
  ibv_pd* domain_;
  int access_;
  absl::flat_hash_map<EntryKey, Entry> entries_;
  bool told_unsupported_ = false;
};

}  // namespace mooncake::transfer
