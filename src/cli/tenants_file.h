// The file that --tenants names: which API key is whose, and how much of the work a tenant may have beside others.
//
//   share_cache = false            # may be left out; true: tenants reuse each other's KVCache
//
//   [keys]                         # one line a key; a tenant may have several
//   sk-5f1c93a0 = "search"
//   sk-77aa02be = "search"
//   sk-0b92c1d4 = "batch"
//
//   [weights]                      # may be left out; 1 for tenants that are not named
//   search = 3
//
// Messages name the file and the line, and never a key; nor a tenant, because who has mixed the two up has written a
// key there.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/status.h"
#include "serve/gateway/tenants.h"

namespace mooncake::cli {

/// kApiKeysMax lines of a key and a name take a third of this.
inline constexpr std::size_t kTenantsFileBytesMax = 1u << 20;

/// What the file says; everybody() for an empty path.
/// @return kNotFound if it cannot be read; kInvalidArgument, with the line and what was expected there.
Result<std::shared_ptr<const serve::Tenants>> read_tenants(const std::string& path);

/// The same of a file's text, which messages call `name`.
Result<std::shared_ptr<const serve::Tenants>> parse_tenants(std::string_view text, const std::string& name);

}  // namespace mooncake::cli
