#include "transfer/auth/throwaway_authority.h"

#include <fmt/format.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "transfer/auth/crypto.h"
#include "transfer/auth/tls_context.h"

namespace mooncake::transfer {
namespace {

Status refused(std::string_view what) {
  return {Code::kInvalidArgument, fmt::format("OpenSSL does not make {}: {}", what, take_openssl_error())};
}

/// What `write` writes. @return "" if it does not.
template <typename Write>
std::string pem(Write write) {
  const std::unique_ptr<BIO, int (*)(BIO*)> bio(BIO_new(BIO_s_mem()), &BIO_free);
  if (!bio || write(bio.get()) != 1) return "";
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &data);
  return {data, static_cast<std::size_t>(size)};
}

bool extend(X509* certificate, X509* issuer, int what, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  const std::unique_ptr<X509_EXTENSION, void (*)(X509_EXTENSION*)> extension(
      X509V3_EXT_conf_nid(nullptr, &context, what, value.c_str()), &X509_EXTENSION_free);
  return extension && X509_add_ext(certificate, extension.get(), -1) == 1;
}

/// Two certificates of one authority must not have the same; 63 random bits do not meet, and are positive.
long random_serial() {
  return static_cast<long>(load_le<std::uint64_t>(random_bytes<sizeof(std::uint64_t)>().data()) >> 1);
}

}  // namespace

void ThrowawayAuthority::Free::operator()(evp_pkey_st* key) const { EVP_PKEY_free(key); }
void ThrowawayAuthority::Free::operator()(x509_st* certificate) const { X509_free(certificate); }

Result<ThrowawayAuthority> ThrowawayAuthority::create(const std::string& name) {
  ThrowawayAuthority made;
  made.key_.reset(EVP_EC_gen("P-256"));
  if (!made.key_) return refused("a key");
  MC_ASSIGN_OR_RETURN(made.own_, made.sign(name, made.key_.get(), {}));
  made.pem_ = pem([&](BIO* to) { return PEM_write_bio_X509(to, made.own_.get()); });
  if (made.pem_.empty()) return refused("PEM");
  return made;
}

Result<ThrowawayAuthority::Issued> ThrowawayAuthority::issue(const std::string& subject, const Claims& claims) const {
  const Key key(EVP_EC_gen("P-256"));
  if (!key) return refused("a key");
  MC_ASSIGN_OR_RETURN(const Certificate certificate, sign(subject, key.get(), claims));
  Issued issued{.certificate = pem([&](BIO* to) { return PEM_write_bio_X509(to, certificate.get()); }),
                .key = pem([&](BIO* to) {
                  return PEM_write_bio_PrivateKey(to, key.get(), nullptr, nullptr, 0, nullptr, nullptr);
                })};
  if (issued.certificate.empty() || issued.key.empty()) return refused("PEM");
  return issued;
}

/// The authority's own certificate while there is none.
Result<ThrowawayAuthority::Certificate> ThrowawayAuthority::sign(const std::string& subject, evp_pkey_st* key,
                                                                 const Claims& claims) const {
  Certificate certificate(X509_new());
  X509* const made = certificate.get();
  if (made == nullptr) return refused("a certificate");
  X509* const issuer = own_ ? own_.get() : made;
  bool fine = X509_set_version(made, X509_VERSION_3) == 1;
  fine &= ASN1_INTEGER_set(X509_get_serialNumber(made), random_serial()) == 1;
  fine &= X509_gmtime_adj(X509_getm_notBefore(made), claims.begins_s) != nullptr;
  fine &= X509_gmtime_adj(X509_getm_notAfter(made), claims.ends_s) != nullptr;
  fine &= X509_NAME_add_entry_by_txt(X509_get_subject_name(made), "CN", MBSTRING_ASC,
                                     reinterpret_cast<const unsigned char*>(subject.c_str()), -1, -1, 0) == 1;
  fine &= X509_set_issuer_name(made, X509_get_subject_name(issuer)) == 1;
  fine &= X509_set_pubkey(made, key) == 1;
  fine &= extend(made, issuer, NID_basic_constraints, own_ ? "critical,CA:FALSE" : "critical,CA:TRUE");
  if (own_) fine &= extend(made, issuer, NID_ext_key_usage, claims.usage);
  if (!claims.names.empty()) fine &= extend(made, issuer, NID_subject_alt_name, claims.names);
  fine &= X509_sign(made, key_.get(), EVP_sha256()) > 0;
  if (!fine) return refused("a certificate for " + subject);
  return certificate;
}

}  // namespace mooncake::transfer
