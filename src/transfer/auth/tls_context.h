// TlsContext: this engine's certificate and key, and the authority that it trusts; what every TlsStream begins from.
//
// TLS 1.3 alone, both sides with a certificate. No session tickets (each connection proves itself), no renegotiation
// (there is none in 1.3), AES-128-GCM first, because it is the fastest here. Const after creation.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/status.h"
#include "transfer/auth/auth_config.h"

struct ssl_ctx_st;

namespace mooncake::transfer {

class TlsContext {
 public:
  /// Reads the three files. Blocks.
  /// @return kInvalidArgument for a file that is missing or of no use, with the reason; as read_secret_file() for the
  /// key.
  static Result<std::unique_ptr<TlsContext>> load(const AuthConfig& config);

  /// The names that our own certificate is for.
  [[nodiscard]] std::vector<std::string> names() const;
  [[nodiscard]] ssl_ctx_st* native() const { return context_.get(); }

 private:
  struct Free {
    void operator()(ssl_ctx_st* context) const;
  };
  explicit TlsContext(ssl_ctx_st* context) : context_(context) {}

  std::unique_ptr<ssl_ctx_st, Free> context_;
};

/// What OpenSSL says went wrong last on this thread, and forgets it: "no start line".
std::string take_openssl_error();

}  // namespace mooncake::transfer
