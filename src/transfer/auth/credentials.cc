#include "transfer/auth/credentials.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "transfer/auth/certificate_names.h"

namespace mooncake::transfer {

Result<Credentials> Credentials::load(const AuthConfig& config, const std::string& node_name) {
  Credentials credentials;
  credentials.mode = config.mode;
  if (config.mode == AuthMode::kMac) {
    MC_ASSIGN_OR_RETURN(credentials.keys, KeyRing::load(config.secret_file, config.tenant));
  }
  if (config.mode != AuthMode::kTls) return credentials;
  MC_ASSIGN_OR_RETURN(credentials.tls, TlsContext::load(config));
  // Nobody would talk to it: better said here than in the logs of all others.
  MC_RETURN_IF_ERROR(
      check_names(credentials.tls->names(), node_name).annotate("--tls-cert " + config.certificate_file));
  return credentials;
}

Status check_names(const std::vector<std::string>& names, std::string_view node_name) {
  if (names_node(names, node_name)) return {};
  return {Code::kPermissionDenied,
          fmt::format("the certificate is not for {0}: its subjectAltName must have the DNS name {0}, one that begins "
                      "with \"{0}.\", or a wildcard; it has: {1}",
                      node_name, names.empty() ? "none" : fmt::format("{}", fmt::join(names, ", ")).substr(0, 300))};
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
