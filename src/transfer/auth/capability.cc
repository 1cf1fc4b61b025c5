#include "transfer/auth/capability.h"

#include <algorithm>

namespace mooncake::transfer {
namespace {

constexpr std::uint8_t kVersion = 1;
constexpr std::size_t kMacAt = 40;
constexpr std::size_t kMacSize = kCapabilityBytes - kMacAt;

Status denied(std::string_view why) { return {Code::kPermissionDenied, std::string(why)}; }

}  // namespace

Digest CapabilityMint::mac(const Capability& capability) {
  MutexLock lock(mutex_);
  return hash_({ConstByteSpan(capability.bytes).first(kMacAt)});
}

Capability CapabilityMint::make(const BulkRange& range, Access access, PeerHandle holder) {
  Capability capability;
  std::byte* const at = capability.bytes.data();
  store_le(at, kVersion);
  store_le(at + 1, static_cast<std::uint8_t>(access));
  store_le(at + 4, range.segment.index);
  store_le(at + 8, range.segment.generation);
  store_le(at + 16, range.offset);
  store_le(at + 24, range.length);
  store_le(at + 32, holder.value);
  std::ranges::copy(ConstByteSpan(mac(capability)).first(kMacSize), capability.bytes.begin() + kMacAt);
  return capability;
}

Status CapabilityMint::check(const BulkRange& range, Access needed, PeerHandle by) {
  const Capability& capability = *range.capability;
  const ConstByteSpan bytes(capability.bytes);
  // Before anything it says is believed.
  if (!equal_secrets(bytes.subspan(kMacAt), ConstByteSpan(mac(capability)).first(kMacSize))) {
    return denied("the capability is not one of this engine's, or was changed");
  }
  const std::byte* const at = bytes.data();
  CHECK(load_le<std::uint8_t>(at) == kVersion);  // the key is of this process alone
  if (load_le<std::uint64_t>(at + 32) != by.value) return denied("the capability was given to another peer or epoch");
  const SegmentHandle segment{load_le<std::uint32_t>(at + 4), load_le<std::uint64_t>(at + 8)};
  if (segment != range.segment) return denied("the capability is for another segment or generation");
  const auto rights = load_le<std::uint8_t>(at + 1);
  if ((rights & static_cast<std::uint8_t>(needed)) != static_cast<std::uint8_t>(needed)) {
    return denied(needed == Access::kRead ? "the capability does not allow to read"
                                          : "the capability does not allow to write");
  }
  const auto offset = load_le<std::uint64_t>(at + 16);
  const auto length = load_le<std::uint64_t>(at + 24);
  // Without adding: sums may wrap around.
  const bool inside =
      range.offset >= offset && range.offset - offset <= length && range.length <= length - (range.offset - offset);
  return inside ? Status() : denied("the capability is for a smaller range");
}

}  // namespace mooncake::transfer
