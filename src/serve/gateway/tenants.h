// Tenants: who may use the gateway, by API key, and as whom.
//
// Of a key only its SHA-256 is kept, and every request's is compared with all of them in time that does not depend on
// how much of it is right. Immutable, hence thread-safe.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "conductor/tenant.h"

namespace mooncake::serve {

/// Every request's key is compared with every known one: at 32 bytes each a few microseconds.
inline constexpr std::size_t kApiKeysMax = 1024;
/// Shorter ones can be guessed.
inline constexpr std::size_t kApiKeyBytesMin = 8;
/// Four times what providers hand out; nothing longer is hashed.
inline constexpr std::size_t kApiKeyBytesMax = 256;

/// A request's tenant, as far as serving is concerned.
struct ServedTenant {
  std::string name{};        ///< empty: everybody, where tenants are not told apart
  conductor::Tenant turn{};  ///< for taking turns with others
  std::string cache_salt{};  ///< part of its blocks' keys; empty: shared with all who have none
};

/// The key of "Bearer KEY"; empty if the header is something else.
std::string_view bearer_key(std::string_view authorization);

class Tenants {
 public:
  struct Named {
    std::string name;
    std::uint32_t weight = 1;
  };
  struct Key {
    std::string key;
    std::size_t tenant = 0;  ///< index
  };
  /// Nobody needs a key, and all are one tenant.
  static std::shared_ptr<const Tenants> everybody();
  /// `share_cache`: tenants reuse each other's KVCache. By default they do not: how fast an answer comes would tell one
  /// what another has asked before.
  /// @return kInvalidArgument, which names no key, for no or more than kTenantsMax tenants, no or more than kApiKeysMax
  /// keys, lengths, weights or indices out of range, and for a key or a tenant that is there twice.
  static Result<std::shared_ptr<const Tenants>> create(const std::vector<Named>& tenants, const std::vector<Key>& keys,
                                                       bool share_cache);

  /// Whose key this is; null: nobody's. O(keys).
  [[nodiscard]] const ServedTenant* find(std::string_view api_key) const;
  /// There are keys.
  [[nodiscard]] bool told_apart() const { return !keys_.empty(); }

 private:
  Tenants() = default;

  static constexpr std::size_t kDigestBytes = 32;
  using Digest = std::array<unsigned char, kDigestBytes>;
  struct HashedKey {
    Digest digest;
    std::size_t tenant = 0;
  };
  static Digest digest_of(std::string_view api_key);
  Status add(const Named& tenant, bool share_cache);
  Status add(const Key& key);

  std::vector<ServedTenant> tenants_;
  std::vector<HashedKey> keys_;
};

}  // namespace mooncake::serve
