// AuthConfig: how two engines convince each other that they belong together, and what that takes.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace mooncake::transfer {

/// On the wire in the hello: never reuse a number.
enum class AuthMode : std::uint8_t {
  kPlain = 0,  ///< nobody proves anything: for one machine whose users trust each other
  kMac = 1,    ///< both sides prove that they hold a key, and every frame's header carries a MAC
  kTls = 2,    ///< mutual TLS 1.3
};

/// "plain", "mac" or "tls"; "unknown" for a number that no version has used.
constexpr std::string_view auth_mode_name(AuthMode mode) {
  constexpr std::string_view kNames[] = {"plain", "mac", "tls"};
  const auto index = static_cast<std::size_t>(mode);
  return index < 3 ? kNames[index] : "unknown";
}

/// Files are read once, when the engine is created. Those with secrets must not be readable by everybody.
struct AuthConfig {
  AuthMode mode = AuthMode::kPlain;
  /// mac: file with the cluster's secret, at least 32 bytes (white space at its end does not count); or, with a tenant,
  /// with that tenant's key (tenant_key() of the secret), so that clients need not hold the secret.
  std::string secret_file = {};
  /// mac: whose key it is. Empty: the secret of the cluster, which can check every tenant.
  std::string tenant = {};
  /// tls, PEM: the certificate of this engine, with intermediates after it; its key; the authority that signed the
  /// peers' certificates. The certificate must name the node: see certificate_names.h.
  std::string certificate_file = {};
  std::string key_file = {};
  std::string authority_file = {};
  /// plain: may listen elsewhere than on loopback, where anybody who reaches the port may do everything.
  bool insecure = false;
  /// tls: bulk may go past TLS, by shm: between processes of one user on one kernel.
  bool trusted_fabric = false;
};

}  // namespace mooncake::transfer
