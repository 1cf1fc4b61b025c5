// ThrowawayAuthority: a certificate authority that lives as long as a benchmark or a test, and signs certificates for
// an hour. Its key never leaves the process; no cluster should trust it.
//
// Thread-compatible.
#pragma once

#include <memory>
#include <string>

#include "base/status.h"

struct evp_pkey_st;
struct x509_st;

namespace mooncake::transfer {

class ThrowawayAuthority {
 public:
  /// What a certificate says; the defaults are what TlsContext wants of a peer's.
  struct Claims {
    std::string names = {};  ///< its subjectAltName: "DNS:a,DNS:b"; empty: none
    long begins_s = -3600;   ///< from now
    long ends_s = 3600;
    std::string usage = "serverAuth,clientAuth";
  };
  /// A certificate and its key, as PEM.
  struct Issued {
    std::string certificate;
    std::string key;
  };

  /// Makes a key on P-256 and a certificate for it, in its own name.
  /// @return kInvalidArgument for what OpenSSL does not take, with its reason; so does issue().
  static Result<ThrowawayAuthority> create(const std::string& name);

  /// `subject` differs from the name of the authority, or it would pass for signed by itself.
  Result<Issued> issue(const std::string& subject, const Claims& claims) const;
  /// Its own certificate as PEM: what --tls-ca names.
  [[nodiscard]] const std::string& certificate() const { return pem_; }

 private:
  struct Free {
    void operator()(evp_pkey_st* key) const;
    void operator()(x509_st* certificate) const;
  };
  using Key = std::unique_ptr<evp_pkey_st, Free>;
  using Certificate = std::unique_ptr<x509_st, Free>;

  ThrowawayAuthority() = default;
  Result<Certificate> sign(const std::string& subject, evp_pkey_st* key, const Claims& claims) const;

  Key key_;
  Certificate own_;
  std::string pem_;
};

}  // namespace mooncake::transfer
