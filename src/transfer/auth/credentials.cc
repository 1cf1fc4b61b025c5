#include "transfer/auth/credentials.h"

#include <fmt/format.h>

namespace mooncake::transfer {

Result<Credentials> Credentials::load(const AuthConfig& config, const std::string& /*node_name*/) {
  Credentials credentials;
  credentials.mode = config.mode;
  if (config.mode == AuthMode::kMac) {
    MC_ASSIGN_OR_RETURN(credentials.keys, KeyRing::load(config.secret_file, config.tenant));
  }
  return credentials;
}

Status check_listen(const AuthConfig& config, bool loopback, const std::string& listen) {
  if (loopback || config.mode != AuthMode::kPlain || config.insecure) return {};
  return {
      Code::kInvalidArgument,
      fmt::format("{} is no loopback address, and whoever reaches it could read and write this engine's memory: use "
                  "--auth mac or --auth tls, or, where nobody else can reach it, --insecure",
                  listen)};
}

}  // namespace mooncake::transfer
