#include "transfer/auth/crypto.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/rand.h>

#include "base/check.h"

namespace mooncake::transfer {
namespace {

const unsigned char* raw(ConstByteSpan bytes) { return reinterpret_cast<const unsigned char*>(bytes.data()); }
unsigned char* raw(ByteSpan bytes) { return reinterpret_cast<unsigned char*>(bytes.data()); }

}  // namespace

Digest sha256(std::initializer_list<ConstByteSpan> pieces) {
  const std::unique_ptr<EVP_MD_CTX, void (*)(EVP_MD_CTX*)> context(EVP_MD_CTX_new(), &EVP_MD_CTX_free);
  CHECK(context != nullptr && EVP_DigestInit_ex(context.get(), EVP_sha256(), nullptr) == 1);
  for (const ConstByteSpan piece : pieces) CHECK(EVP_DigestUpdate(context.get(), piece.data(), piece.size()) == 1);
  Digest digest;
  CHECK(EVP_DigestFinal_ex(context.get(), raw(ByteSpan(digest)), nullptr) == 1);
  return digest;
}

void KeyedHash::Free::operator()(evp_mac_ctx_st* context) const { EVP_MAC_CTX_free(context); }

KeyedHash::KeyedHash(ConstByteSpan key) {
  EVP_MAC* const algorithm = EVP_MAC_fetch(nullptr, "HMAC", nullptr);
  CHECK(algorithm != nullptr);
  context_.reset(EVP_MAC_CTX_new(algorithm));
  EVP_MAC_free(algorithm);  // the context holds it
  char digest[] = "SHA256";
  const OSSL_PARAM parameters[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
                                   OSSL_PARAM_construct_end()};
  CHECK(context_ != nullptr && EVP_MAC_init(context_.get(), raw(key), key.size(), parameters) == 1);
}

Digest KeyedHash::operator()(std::initializer_list<ConstByteSpan> pieces) {
  CHECK(EVP_MAC_init(context_.get(), nullptr, 0, nullptr) == 1);
  for (const ConstByteSpan piece : pieces) CHECK(EVP_MAC_update(context_.get(), raw(piece), piece.size()) == 1);
  Digest digest;
  std::size_t size = 0;
  CHECK(EVP_MAC_final(context_.get(), raw(ByteSpan(digest)), &size, digest.size()) == 1 && size == digest.size());
  return digest;
}

bool equal_secrets(ConstByteSpan a, ConstByteSpan b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

void fill_random(ByteSpan out) { CHECK(RAND_bytes(raw(out), static_cast<int>(out.size())) == 1); }

}  // namespace mooncake::transfer
