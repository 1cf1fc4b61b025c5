// The check of capabilities: whatever bytes a peer shows, and for whatever range, only what was granted opens anything.
//
// An input is a capability (56 bytes; shorter ones are changes of the right one), then a range.
#include <algorithm>
#include <cstdint>

#include "base/check.h"
#include "transfer/auth/capability.h"

using namespace mooncake;            // NOLINT: a program of one function
using namespace mooncake::transfer;  // NOLINT

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static CapabilityMint mint;
  constexpr PeerHandle kHolder{5};
  const BulkRange granted{.segment = {1, 2}, .offset = 4096, .length = 8192};
  const Capability right = mint.make(granted, Access::kRead, kHolder);
  const ConstByteSpan bytes(reinterpret_cast<const std::byte*>(data), size);

  BulkRange asked = granted;
  Capability shown = right;
  if (bytes.size() < kCapabilityBytes) {
    for (std::size_t i = 0; i < bytes.size(); ++i) shown.bytes[i] ^= bytes[i];
  } else {
    const auto taken = Capability::from_string({reinterpret_cast<const char*>(data), kCapabilityBytes});
    CHECK(taken.ok() && taken->to_string().size() == kCapabilityBytes);
    shown = *taken;
    // A range of the input's, with the right capability: so that the arithmetic is reached.
    if (const auto range = decode_range(bytes.subspan(kCapabilityBytes)); range.ok()) {
      asked = *range;
      shown = right;
    }
  }
  asked.capability = shown;
  const bool inside = asked.segment == granted.segment && asked.offset >= granted.offset &&
                      static_cast<unsigned __int128>(asked.offset) + asked.length <= granted.offset + granted.length;
  const bool fine = shown == right && inside;
  CHECK(mint.check(asked, Access::kRead, kHolder).ok() == fine);
  CHECK(!mint.check(asked, Access::kWrite, kHolder).ok());
  CHECK(!mint.check(asked, Access::kRead, PeerHandle{6}).ok());
  return 0;
}
