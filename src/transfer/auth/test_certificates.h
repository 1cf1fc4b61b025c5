// For tests: files with certificates of an authority, right or wrong in one way.
#pragma once

#include <string>

#include "transfer/auth/test_secrets.h"
#include "transfer/auth/throwaway_authority.h"

namespace mooncake::transfer {

class TestAuthority {
 public:
  /// What may be odd about a certificate.
  using Odd = ThrowawayAuthority::Claims;

  explicit TestAuthority(const std::string& name)
      : name_(name), authority_(std::move(*ThrowawayAuthority::create(name))) {}

  /// Files for one engine; `names` is its subjectAltName: "DNS:a,DNS:b". Empty: none.
  AuthConfig issue(const SecretDir& dir, const std::string& file, const std::string& names) const {
    return issue(dir, file, names, Odd());
  }
  AuthConfig issue(const SecretDir& dir, const std::string& file, const std::string& names, Odd odd) const {
    odd.names = names;
    const ThrowawayAuthority::Issued issued = std::move(*authority_.issue(file, odd));
    return {.mode = AuthMode::kTls,
            .certificate_file = dir.write(file + ".crt", issued.certificate, 0644),
            .key_file = dir.write(file + ".key", issued.key, 0600),
            .authority_file = dir.write(name_ + ".ca", authority_.certificate(), 0644)};
  }

 private:
  const std::string name_;
  const ThrowawayAuthority authority_;
};

}  // namespace mooncake::transfer
