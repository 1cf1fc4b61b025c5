// RegistrationCache: the memory that one RDMA device can reach. A registration pins its pages and costs the kernel time
// for each of them, so a whole segment or shared pool is registered once, when the first slice needs it, and kept until
// the segment is unregistered or the pool freed. Whoever uses a registration holds it.
//
// Loop thread only: registering blocks it, about 0.1 s for a GB that was never touched.
#pragma once

#include <absl/container/flat_hash_map.h>

#include <memory>
#include <utility>

#include "base/bytes.h"
#include "base/status.h"
#include "base/time.h"
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
  Registration(const Verbs& verbs, ibv_mr* region) : verbs_(verbs), region_(region) {}
  ~Registration() { verbs_.dereg_mr(region_); }
  Registration(const Registration&) = delete;
  Registration& operator=(const Registration&) = delete;

  [[nodiscard]] ibv_mr* region() const { return region_; }

 private:
  const Verbs& verbs_;
  ibv_mr* region_;
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

class RegistrationCache {
 public:
  /// Registers in `domain` with these rights (IBV_ACCESS_...).
  RegistrationCache(const Verbs& verbs, ibv_pd* domain, int access) : verbs_(verbs), domain_(domain), access_(access) {}

  /// The registration of an area, which is `memory` as long as drop(key) is not called. @return kExhausted at
  /// kRegistrationsMax and when the kernel may not pin it (RLIMIT_MEMLOCK), kUnavailable when the device refuses it.
  Result<RegistrationPtr> get(const AreaKey& key, ByteSpan memory, Instant now);
  /// The area is gone. Its memory is unpinned when the last user lets go.
  void drop(const AreaKey& key) { entries_.erase(key); }

 private:
  struct Entry {
    RegistrationPtr registration;  // null: it failed
    Status failure;
    Instant retry_at{};
  };

  [[nodiscard]] Result<RegistrationPtr> add(ByteSpan memory) const;

  const Verbs& verbs_;
  ibv_pd* domain_;
  int access_;
  absl::flat_hash_map<AreaKey, Entry> entries_;
};

}  // namespace mooncake::transfer
