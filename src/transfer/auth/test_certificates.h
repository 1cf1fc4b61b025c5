// For tests: a certificate authority, and certificates of it that are right or wrong in one way.
#pragma once

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <memory>
#include <string>

#include "transfer/auth/test_secrets.h"

namespace mooncake::transfer {

class TestAuthority {
 public:
  /// What may be odd about a certificate.
  struct Odd {
    long begins_s = -3600;  ///< from now
    long ends_s = 3600;
    std::string usage = "serverAuth,clientAuth";
  };

  explicit TestAuthority(const std::string& name)
      : name_(name), key_(new_key(), &EVP_PKEY_free), own_(nullptr, &X509_free) {
    own_.reset(sign(name, key_.get(), "", {}));
  }

  /// Files for one engine; `names` is its subjectAltName: "DNS:a,DNS:b". Empty: none.
  AuthConfig issue(const SecretDir& dir, const std::string& file, const std::string& names) const {
    return issue(dir, file, names, Odd());
  }
  AuthConfig issue(const SecretDir& dir, const std::string& file, const std::string& names, const Odd& odd) const {
    const std::unique_ptr<EVP_PKEY, void (*)(EVP_PKEY*)> key(new_key(), &EVP_PKEY_free);
    const std::unique_ptr<X509, void (*)(X509*)> certificate(sign(file, key.get(), names, odd), &X509_free);
    const auto write_certificate = [](BIO* to, X509* what) { return PEM_write_bio_X509(to, what); };
    return {.mode = AuthMode::kTls,
            .certificate_file = dir.write(file + ".crt", pem(write_certificate, certificate.get()), 0644),
            .key_file = dir.write(file + ".key", pem(
                                                     [](BIO* to, EVP_PKEY* what) {
                                                       return PEM_write_bio_PrivateKey(to, what, nullptr, nullptr, 0,
                                                                                       nullptr, nullptr);
                                                     },
                                                     key.get())),
            .authority_file = dir.write(name_ + ".ca", pem(write_certificate, own_.get()), 0644)};
  }

 private:
  static EVP_PKEY* new_key() {
    EVP_PKEY* key = EVP_EC_gen("P-256");
    CHECK(key != nullptr);
    return key;
  }
  template <typename Write, typename T>
  static std::string pem(Write write, T* what) {
    const std::unique_ptr<BIO, int (*)(BIO*)> bio(BIO_new(BIO_s_mem()), &BIO_free);
    CHECK(write(bio.get(), what) == 1);
    char* data = nullptr;
    const long size = BIO_get_mem_data(bio.get(), &data);
    return std::string(data, static_cast<std::size_t>(size));
  }
  static void extend(X509* certificate, X509* issuer, int what, const std::string& value) {
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
    X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, what, value.c_str());
    CHECK(extension != nullptr && X509_add_ext(certificate, extension, -1) == 1);
    X509_EXTENSION_free(extension);
  }

  /// The authority's own certificate while there is none.
  X509* sign(const std::string& subject, EVP_PKEY* key, const std::string& names, const Odd& odd) const {
    static long serial = 0;
    X509* certificate = X509_new();
    CHECK(certificate != nullptr);
    X509* const issuer = own_ ? own_.get() : certificate;
    X509_set_version(certificate, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), ++serial);
    X509_gmtime_adj(X509_getm_notBefore(certificate), odd.begins_s);
    X509_gmtime_adj(X509_getm_notAfter(certificate), odd.ends_s);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_ASC,
                               reinterpret_cast<const unsigned char*>(subject.c_str()), -1, -1, 0);
    X509_set_issuer_name(certificate, X509_get_subject_name(issuer));
    X509_set_pubkey(certificate, key);
    extend(certificate, issuer, NID_basic_constraints, own_ ? "critical,CA:FALSE" : "critical,CA:TRUE");
    if (own_) extend(certificate, issuer, NID_ext_key_usage, odd.usage);
    if (!names.empty()) extend(certificate, issuer, NID_subject_alt_name, names);
    CHECK(X509_sign(certificate, key_.get(), EVP_sha256()) > 0);
    return certificate;
  }

  const std::string name_;
  const std::unique_ptr<EVP_PKEY, void (*)(EVP_PKEY*)> key_;
  std::unique_ptr<X509, void (*)(X509*)> own_;
};

}  // namespace mooncake::transfer
