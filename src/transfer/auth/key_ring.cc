#include "transfer/auth/key_ring.h"

#include <fmt/format.h>

#include "base/bytes.h"
#include "transfer/auth/crypto.h"
#include "transfer/auth/secret_file.h"

namespace mooncake::transfer {

std::string tenant_key(std::string_view secret, std::string_view tenant) {
  return to_hex(KeyedHash(as_bytes(secret))({as_bytes("mooncake tenant "), as_bytes(tenant)}));
}

Result<KeyRing> KeyRing::load(const std::string& file, const std::string& tenant) {
  const std::string_view what = tenant.empty() ? "cluster secret" : "tenant key";
  if (file.empty()) {
    return Status(Code::kInvalidArgument,
                  fmt::format("--auth mac needs --auth-secret-file, a file with the {}: openssl rand -hex 32", what));
  }
  if (tenant.size() > kTenantBytesMax) {
    return Status(Code::kInvalidArgument, fmt::format("a tenant's name has at most {} bytes", kTenantBytesMax));
  }
  MC_ASSIGN_OR_RETURN(std::string key, read_secret_file(file, what));
  key.resize(key.find_last_not_of(" \t\r\n") + 1);  // of an editor, or of echo
  if (key.size() < kSecretBytesMin) {
    return Status(Code::kInvalidArgument,
                  fmt::format("the {} {} has {} bytes, at least {} are needed: openssl rand -hex 32", what, file,
                              key.size(), kSecretBytesMin));
  }
  return KeyRing(std::move(key), tenant);
}

Result<std::string> KeyRing::key_for(std::string_view theirs, bool dialing) const {
  if (tenant_ == theirs || (!tenant_.empty() && theirs.empty())) return key_;
  if (!tenant_.empty()) {
    return Status(Code::kPermissionDenied, fmt::format("tenant \"{}\" has no key for tenant \"{}\"", tenant_, theirs));
  }
  if (dialing) {
    return Status(Code::kPermissionDenied,
                  fmt::format("tenant \"{}\" answers where a service of the cluster was expected", theirs));
  }
  return tenant_key(key_, theirs);
}

}  // namespace mooncake::transfer
