// Credentials: what one engine proves itself with, read from its files. Const after creation.
#pragma once

#include <memory>
#include <optional>

#include "base/status.h"
#include "transfer/auth/auth_config.h"
#include "transfer/auth/key_ring.h"
#include "transfer/auth/tls_context.h"

namespace mooncake::transfer {

struct Credentials {
  /// Reads what the mode needs. Blocks.
  /// @return kInvalidArgument if something needed is missing or is of no use; kNotFound or kPermissionDenied for files.
  static Result<Credentials> load(const AuthConfig& config, const std::string& node_name);

  AuthMode mode = AuthMode::kPlain;
  std::optional<KeyRing> keys;            ///< with kMac
  std::unique_ptr<const TlsContext> tls;  ///< with kTls
};

/// Whether a certificate with those names is one of that node. @return kPermissionDenied, with what it should have.
Status check_names(const std::vector<std::string>& names, std::string_view node_name);

/// Whether an engine may listen there: on loopback, elsewhere if peers have to prove themselves or nobody minds.
/// @return kInvalidArgument, with what to do.
Status check_listen(const AuthConfig& config, bool loopback, const std::string& listen);

/// Whether bulk may go by shm and RDMA, which TLS does not protect.
inline bool fabric_trusted(const AuthConfig& config) { return config.mode != AuthMode::kTls || config.trusted_fabric; }

}  // namespace mooncake::transfer
