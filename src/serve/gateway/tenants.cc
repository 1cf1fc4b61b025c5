#include "serve/gateway/tenants.h"

#include <fmt/core.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>

#include <algorithm>

#include "base/check.h"
#include "serve/messages.h"

namespace mooncake::serve {
namespace {

constexpr std::string_view kScheme = "bearer ";

Status bad(std::string message) { return {Code::kInvalidArgument, std::move(message)}; }

char lower(char letter) { return letter >= 'A' && letter <= 'Z' ? static_cast<char>(letter - 'A' + 'a') : letter; }

}  // namespace

std::string_view bearer_key(std::string_view authorization) {
  if (!std::ranges::equal(authorization.substr(0, kScheme.size()), kScheme, {}, lower)) return {};
  authorization.remove_prefix(kScheme.size());
  const std::size_t begin = authorization.find_first_not_of(' ');
  if (begin == std::string_view::npos) return {};
  return authorization.substr(begin, authorization.find_last_not_of(' ') + 1 - begin);
}

std::shared_ptr<const Tenants> Tenants::everybody() {
  std::shared_ptr<Tenants> tenants(new Tenants);
  tenants->tenants_.emplace_back();
  return tenants;
}

Result<std::shared_ptr<const Tenants>> Tenants::create(const std::vector<Named>& tenants, const std::vector<Key>& keys,
                                                       bool share_cache) {
  if (tenants.empty() || keys.empty()) return bad("expected at least one key with its tenant");
  if (tenants.size() > conductor::kTenantsMax) {
    return bad(fmt::format("{} tenants; at most {} are told apart", tenants.size(), conductor::kTenantsMax));
  }
  if (keys.size() > kApiKeysMax) return bad(fmt::format("{} keys; at most {} are kept", keys.size(), kApiKeysMax));
  std::shared_ptr<Tenants> made(new Tenants);
  for (const Named& tenant : tenants) MC_RETURN_IF_ERROR(made->add(tenant, share_cache));
  for (const Key& key : keys) MC_RETURN_IF_ERROR(made->add(key));
  return Result<std::shared_ptr<const Tenants>>(std::move(made));
}

Status Tenants::add(const Named& tenant, bool share_cache) {
  if (tenant.name.empty() || tenant.name.size() > kTenantNameBytesMax) {
    return bad(fmt::format("a tenant's name has 1 to {} bytes, got {}", kTenantNameBytesMax, tenant.name.size()));
  }
  if (tenant.weight == 0 || tenant.weight > conductor::kTenantWeightMax) {
    return bad(
        fmt::format("a tenant has a weight of {}; expected 1 to {}", tenant.weight, conductor::kTenantWeightMax));
  }
  const conductor::TenantId id = conductor::tenant_id(tenant.name);
  for (const ServedTenant& other : tenants_) {
    if (other.turn.id != id) continue;
    return bad(fmt::format("tenant number {} cannot be told apart from one before it; rename it", tenants_.size() + 1));
  }
  tenants_.push_back({.name = tenant.name,
                      .turn = {.id = id, .weight = tenant.weight},
                      .cache_salt = share_cache ? std::string() : tenant.name});
  return {};
}

Status Tenants::add(const Key& key) {
  if (key.tenant >= tenants_.size()) return bad("a key belongs to a tenant that there is not");
  if (key.key.size() < kApiKeyBytesMin || key.key.size() > kApiKeyBytesMax) {
    return bad(fmt::format("key number {} has {} bytes; expected {} to {}", keys_.size() + 1, key.key.size(),
                           kApiKeyBytesMin, kApiKeyBytesMax));
  }
  const Digest digest = digest_of(key.key);
  if (std::ranges::find(keys_, digest, &HashedKey::digest) != keys_.end()) {
    return bad(fmt::format("key number {} is there twice", keys_.size() + 1));
  }
  keys_.push_back({.digest = digest, .tenant = key.tenant});
  return {};
}

const ServedTenant* Tenants::find(std::string_view api_key) const {
  if (keys_.empty()) return &tenants_.front();
  if (api_key.size() < kApiKeyBytesMin || api_key.size() > kApiKeyBytesMax) return nullptr;
  const Digest digest = digest_of(api_key);
  const ServedTenant* found = nullptr;
  for (const HashedKey& key : keys_) {
    if (CRYPTO_memcmp(key.digest.data(), digest.data(), digest.size()) == 0) found = &tenants_[key.tenant];
  }
  return found;
}

// OpenSSL fails here only without memory: nothing could go on then.
Tenants::Digest Tenants::digest_of(std::string_view api_key) {
  Digest digest;
  CHECK(EVP_Digest(api_key.data(), api_key.size(), digest.data(), nullptr, EVP_sha256(), nullptr) == 1);
  return digest;
}

}  // namespace mooncake::serve
