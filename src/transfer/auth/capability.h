// CapabilityMint: makes the capabilities of one engine, and checks those that come back. Only this engine can do
// either: the key is drawn when it starts and never leaves it. A capability is these 56 bytes, little-endian:
//
//    0  u8        version      1
//    1  u8        rights       Access
//    2  u16       zero
//    4  u32       segment index
//    8  u64       generation
//   16  u64       offset
//   24  u64       length
//   32  u64       holder       the owner's handle of the peer: one epoch of one peer, with its proven identity (tenant)
//   40  16 bytes  MAC          HMAC-SHA256 of bytes 0 to 39, its first half
//
// It ends with its segment's generation, its holder's epoch, or its owner's: no clock is asked. Thread-safe.
#pragma once

#include "base/mutex.h"
#include "base/status.h"
#include "transfer/auth/crypto.h"
#include "transfer/frame.h"

namespace mooncake::transfer {

class CapabilityMint {
 public:
  CapabilityMint() : hash_(random_bytes<32>()) {}

  /// The right of `holder` to `access` to `range`, which the caller has checked.
  Capability make(const BulkRange& range, Access access, PeerHandle holder) EXCLUDES(mutex_);

  /// Whether range.capability, which must be there, gives `by` the right `needed` to all of `range`. That the segment
  /// still lives is not asked here. 0.5 us.
  /// @return kPermissionDenied, with the reason.
  Status check(const BulkRange& range, Access needed, PeerHandle by) EXCLUDES(mutex_);

 private:
  Digest mac(const Capability& capability) EXCLUDES(mutex_);

  Mutex mutex_;
  KeyedHash hash_ GUARDED_BY(mutex_);
};

}  // namespace mooncake::transfer
