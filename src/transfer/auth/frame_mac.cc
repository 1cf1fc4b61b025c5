#include "transfer/auth/frame_mac.h"

#include <openssl/evp.h>

#include <algorithm>

#include "base/check.h"

namespace mooncake::transfer {
namespace {

constexpr std::size_t kCipherKeyBytes = 32;

const unsigned char* raw(ConstByteSpan bytes) { return reinterpret_cast<const unsigned char*>(bytes.data()); }

}  // namespace

void FrameMac::Free::operator()(evp_cipher_ctx_st* context) const { EVP_CIPHER_CTX_free(context); }

FrameMac::FrameMac(const FrameKey& key) : context_(EVP_CIPHER_CTX_new()) {
  CHECK(context_ != nullptr);
  CHECK(EVP_EncryptInit_ex2(context_.get(), EVP_aes_256_gcm(), raw(key), nullptr, nullptr) == 1);
  std::ranges::copy(ConstByteSpan(key).subspan(kCipherKeyBytes), nonce_.begin());
}

Mac FrameMac::compute(std::uint64_t number, ConstByteSpan head, ConstByteSpan payload) {
  store_le(nonce_.data() + 4, number);
  int unused = 0;
  Mac mac;
  bool fine = EVP_EncryptInit_ex2(context_.get(), nullptr, nullptr, raw(nonce_), nullptr) == 1;
  fine &= EVP_EncryptUpdate(context_.get(), nullptr, &unused, raw(head), static_cast<int>(head.size())) == 1;
  if (!payload.empty()) {
    fine &= EVP_EncryptUpdate(context_.get(), nullptr, &unused, raw(payload), static_cast<int>(payload.size())) == 1;
  }
  fine &= EVP_EncryptFinal_ex(context_.get(), reinterpret_cast<unsigned char*>(mac.data()), &unused) == 1;
  fine &= EVP_CIPHER_CTX_ctrl(context_.get(), EVP_CTRL_AEAD_GET_TAG, kMacBytes, mac.data()) == 1;
  CHECK(fine);
  return mac;
}

}  // namespace mooncake::transfer
