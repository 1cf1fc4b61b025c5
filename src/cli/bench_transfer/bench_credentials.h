// BenchCredentials: what the two processes of a benchmark prove themselves with, made for one run: a secret, and a
// certificate of an authority that nobody else has. The files are memory, so that nothing is left of them however the
// run ends; other processes of the same user open them while this one holds them.
#pragma once

#include <string>
#include <string_view>

#include "base/status.h"
#include "base/unique_fd.h"
#include "transfer/auth/auth_config.h"

namespace mooncake::cli {

class BenchCredentials {
 public:
  /// For both ends of `transfer` by their default names. @return kExhausted with the system's reason; as
  /// ThrowawayAuthority::create().
  static Result<BenchCredentials> create();

  /// Good for any process of this user while this object lives.
  [[nodiscard]] transfer::AuthConfig mac() const;
  [[nodiscard]] transfer::AuthConfig tls() const;

 private:
  BenchCredentials() = default;
  static Result<UniqueFd> hold(std::string_view text);

  UniqueFd secret_;
  UniqueFd certificate_;
  UniqueFd key_;
  UniqueFd authority_;
};

}  // namespace mooncake::cli
