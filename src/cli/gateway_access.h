// GatewayAccess: where the tools find a gateway, and as whom they ask it.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "base/status.h"
#include "cli/command.h"
#include "net/http_server.h"

namespace mooncake::cli {

/// A key is a line of text; a file longer than this is another file.
inline constexpr std::size_t kApiKeyFileBytesMax = 4096;

struct GatewayAccess {
  std::string url;        ///< "http://host:port", without a slash at the end
  std::string api_key{};  ///< empty: the gateway has no tenants

  /// What goes with every request: the type of its body, and the key if there is one.
  [[nodiscard]] net::HttpHeaders headers() const;
};

/// For the tool whose options are in `section`: its `url`, else that of the cluster in its `run_dir`, and the key in
/// its `api_key_file`. The key is in a file and no option, so that neither a list of processes nor `config show` has
/// it.
/// @return kNotFound if no cluster is up in the run directory, or there is no such file; kInvalidArgument if the file
/// holds no key.
Result<GatewayAccess> gateway_access(const Invocation& invocation, std::string_view section);

/// The id of the first model that the gateway lists. Blocks for at most ten seconds.
/// @return kUnavailable if it does not answer, or with its words if it refuses; kCorrupt if it lists none.
Result<std::string> served_model(const GatewayAccess& gateway);

}  // namespace mooncake::cli
