#include "transfer/auth/tls_context.h"

#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>

#include "transfer/auth/certificate_names.h"
#include "transfer/auth/secret_file.h"

namespace mooncake::transfer {
namespace {

Status unusable(std::string_view flag, std::string_view what, const std::string& file) {
  const std::string why = take_openssl_error();
  if (file.empty()) return {Code::kInvalidArgument, fmt::format("--auth tls needs {}, a PEM file with {}", flag, what)};
  return {Code::kInvalidArgument, fmt::format("{} {}: no {} in PEM there: {}", flag, file, what, why)};
}

/// A key that needs a passphrase is not to be asked for on somebody's terminal.
int no_passphrase(char* /*to*/, int /*size*/, int /*writing*/, void* /*user*/) { return -1; }

Status use_key(SSL_CTX* context, const std::string& file) {
  if (file.empty()) return unusable("--tls-key", "the key of the certificate", file);
  MC_ASSIGN_OR_RETURN(const std::string pem, read_secret_file(file, "key of the certificate"));
  const std::unique_ptr<BIO, int (*)(BIO*)> bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())), &BIO_free);
  const std::unique_ptr<EVP_PKEY, void (*)(EVP_PKEY*)> key(
      PEM_read_bio_PrivateKey(bio.get(), nullptr, &no_passphrase, nullptr), &EVP_PKEY_free);
  if (!key) return unusable("--tls-key", "key without passphrase", file);
  if (SSL_CTX_use_PrivateKey(context, key.get()) != 1 || SSL_CTX_check_private_key(context) != 1) {
    return {Code::kInvalidArgument,
            fmt::format("--tls-key {} is not the key of the certificate: {}", file, take_openssl_error())};
  }
  return {};
}

void harden(SSL_CTX* context) {
  SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION);
  SSL_CTX_set_options(context, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
  SSL_CTX_set_num_tickets(context, 0);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_ciphersuites(context, "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256");
  // Plaintext that waits is encrypted when the socket has room, from wherever it lies then.
  SSL_CTX_set_mode(context, SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
}

}  // namespace

std::string take_openssl_error() {
  const unsigned long code = ERR_peek_last_error();
  const char* const reason = code == 0 ? nullptr : ERR_reason_error_string(code);
  ERR_clear_error();
  return reason == nullptr ? "no reason is known" : reason;
}

void TlsContext::Free::operator()(ssl_ctx_st* context) const { SSL_CTX_free(context); }

Result<std::unique_ptr<TlsContext>> TlsContext::load(const AuthConfig& config) {
  SSL_CTX* const context = SSL_CTX_new(TLS_method());
  if (context == nullptr) return Status(Code::kExhausted, "OpenSSL: " + take_openssl_error());
  std::unique_ptr<TlsContext> made(new TlsContext(context));
  harden(context);
  ERR_clear_error();
  if (SSL_CTX_use_certificate_chain_file(context, config.certificate_file.c_str()) != 1) {
    return unusable("--tls-cert", "the certificate of this process", config.certificate_file);
  }
  MC_RETURN_IF_ERROR(use_key(context, config.key_file));
  if (config.authority_file.empty() || SSL_CTX_load_verify_file(context, config.authority_file.c_str()) != 1) {
    return unusable("--tls-ca", "the authority that signs the cluster's certificates", config.authority_file);
  }
  return made;
}

std::vector<std::string> TlsContext::names() const {
  return certificate_names(SSL_CTX_get0_certificate(context_.get()));
}

}  // namespace mooncake::transfer
