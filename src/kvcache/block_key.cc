// What is hashed for one block, in this order. Each field is a tag, the length of its value, and the value; integers
// are little-endian. The lengths make the fields unambiguous: no two different blocks give the same bytes.
//
//   tag u8 = 1 | length u32 = 16    | parent key, its 128 bits most significant first (zeros for the first block)
//   tag u8 = 2 | length u32 = 4 n   | n tokens, i32 each
//   tag u8 = 3 | length u32 = 16    | model fingerprint, most significant first
//   tag u8 = 4 | length u32         | LoRA adapter name, UTF-8 (empty: none)
//   tag u8 = 5 | length u32         | tenant salt (empty: shared by all)
//
// key = the first 16 bytes of SHA-256 over that, so its to_string() is the first 32 digits of the usual hexadecimal
// digest. The layout is part of the cluster's protocol: changing it makes every cached block unfindable, so a change
// needs new tags.
#include "kvcache/block_key.h"

#include <openssl/evp.h>

#include <array>
#include <limits>
#include <memory>
#include <string_view>

#include "base/bytes.h"
#include "base/check.h"

namespace mooncake::kvcache {
namespace {

enum class Tag : std::uint8_t { kParent = 1, kTokens = 2, kModel = 3, kLora = 4, kTenant = 5 };

constexpr std::size_t kKeyBytes = 16;
constexpr std::size_t kSha256Bytes = 32;

// Fetched once: an implicit fetch takes longer than hashing a block. Never freed: static storage of the process.
const EVP_MD* sha256() {
  static const EVP_MD* const kSha256 = EVP_MD_fetch(nullptr, "SHA256", nullptr);
  CHECK(kSha256 != nullptr);
  return kSha256;
}

std::array<std::byte, kKeyBytes> big_endian(const Key128& key) {
  std::array<std::byte, kKeyBytes> bytes;
  for (std::size_t i = 0; i < 8; ++i) {
    bytes[i] = static_cast<std::byte>(key.high >> (56 - 8 * i));
    bytes[8 + i] = static_cast<std::byte>(key.low >> (56 - 8 * i));
  }
  return bytes;
}

BlockKey key_from_digest(const std::array<unsigned char, kSha256Bytes>& digest) {
  BlockKey key;
  for (std::size_t i = 0; i < 8; ++i) {
    key.high = key.high << 8 | digest[i];
    key.low = key.low << 8 | digest[8 + i];
  }
  return key;
}

// One hash state, used for block after block. OpenSSL fails here only without memory: nothing could go on then.
class BlockHasher {
 public:
  BlockHasher() : context_(EVP_MD_CTX_new(), &EVP_MD_CTX_free) { CHECK(context_ != nullptr); }

  BlockKey key(const KeyScope& scope, const BlockKey& parent, std::span<const std::int32_t> tokens) {
    CHECK(EVP_DigestInit_ex2(context_.get(), sha256(), nullptr) == 1);
    add(Tag::kParent, big_endian(parent));
    add(Tag::kTokens, std::as_bytes(tokens));
    add(Tag::kModel, big_endian(scope.model));
    add(Tag::kLora, as_bytes(scope.lora));
    add(Tag::kTenant, as_bytes(scope.tenant));
    std::array<unsigned char, kSha256Bytes> digest;
    unsigned int size = 0;
    CHECK(EVP_DigestFinal_ex(context_.get(), digest.data(), &size) == 1);
    CHECK(size == digest.size());
    return key_from_digest(digest);
  }

 private:
  void add(Tag tag, ConstByteSpan value) {
    CHECK(value.size() <= std::numeric_limits<std::uint32_t>::max());
    std::array<std::byte, 5> head;
    head[0] = static_cast<std::byte>(tag);
    store_le(&head[1], static_cast<std::uint32_t>(value.size()));
    CHECK(EVP_DigestUpdate(context_.get(), head.data(), head.size()) == 1);
    CHECK(EVP_DigestUpdate(context_.get(), value.data(), value.size()) == 1);
  }

  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context_;
};

}  // namespace

BlockKey next_block_key(const KeyScope& scope, const BlockKey& parent, std::span<const std::int32_t> tokens) {
  return BlockHasher().key(scope, parent, tokens);
}

std::vector<BlockKey> block_keys(const KeyScope& scope, std::span<const std::int32_t> tokens,
                                 std::uint32_t block_tokens) {
  CHECK(block_tokens > 0);
  std::vector<BlockKey> keys;
  keys.reserve(tokens.size() / block_tokens);
  BlockHasher hasher;
  BlockKey parent;
  for (std::size_t at = 0; tokens.size() - at >= block_tokens; at += block_tokens) {
    parent = hasher.key(scope, parent, tokens.subspan(at, block_tokens));
    keys.push_back(parent);
  }
  return keys;
}

}  // namespace mooncake::kvcache
