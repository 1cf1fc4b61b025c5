// KeyRing: the key that this engine shares with whom. Holders of the cluster's secret share a key with each tenant and
// with each other; holders of a tenant's key share it with them and with their own kind:
//
//                     they: cluster      they: tenant t
//   we: cluster       secret             tenant_key(secret, t), if they came to us
//   we: tenant t      our key            our key
//   we: tenant u      our key            none: strangers
//
// A cluster's engine that dials expects one of its own: else a tenant who takes over a dead service's port would be
// taken for that service. Const after creation: any thread.
#pragma once

#include <string>
#include <string_view>

#include "base/status.h"

namespace mooncake::transfer {

/// 256 bits, so that nobody can try all of them.
inline constexpr std::size_t kSecretBytesMin = 32;
/// A tenant's name travels in the hello.
inline constexpr std::size_t kTenantBytesMax = 255;

/// The key of one tenant: 64 hexadecimal digits, HMAC-SHA256(secret, "mooncake tenant " | tenant). The text is the key,
/// so a file with it is all that a client needs.
std::string tenant_key(std::string_view secret, std::string_view tenant);

class KeyRing {
 public:
  /// Of the holder of `key`: the cluster's secret if `tenant` is empty, else that tenant's key.
  KeyRing(std::string key, std::string tenant) : key_(std::move(key)), tenant_(std::move(tenant)) {}

  /// Reads the key from a file. @return as read_secret_file(); kInvalidArgument if it is too short. Blocks.
  static Result<KeyRing> load(const std::string& file, const std::string& tenant);

  /// The key to share with who says to be `theirs`. `dialing`: we went to them.
  /// @return kPermissionDenied if there is none, with the reason.
  [[nodiscard]] Result<std::string> key_for(std::string_view theirs, bool dialing) const;

 private:
  std::string key_;
  std::string tenant_;
};

}  // namespace mooncake::transfer
