#include "cli/auth_options.h"

#include <fmt/core.h>

namespace mooncake::cli {
namespace {

using transfer::AuthMode;

AuthMode mode_of(std::string_view name) {
  if (name == auth_mode_name(AuthMode::kMac)) return AuthMode::kMac;
  return name == auth_mode_name(AuthMode::kTls) ? AuthMode::kTls : AuthMode::kPlain;
}

}  // namespace

transfer::AuthConfig auth_config(const Config& config, std::string_view section) {
  const auto key = [&](std::string_view name) { return fmt::format("{}.{}", section, name); };
  return {.mode = mode_of(config.text(key("auth"))),
          .secret_file = config.text(key("auth_secret_file")),
          .tenant = config.text(key("auth_tenant")),
          .certificate_file = config.text(key("tls_cert")),
          .key_file = config.text(key("tls_key")),
          .authority_file = config.text(key("tls_ca")),
          .insecure = config.boolean(key("insecure")),
          .trusted_fabric = config.boolean(key("trusted_fabric"))};
}

std::vector<std::string> auth_arguments(const transfer::AuthConfig& auth) {
  std::vector<std::string> words = {"--auth", std::string(auth_mode_name(auth.mode))};
  const auto add = [&](std::string_view flag, const std::string& value) {
    if (!value.empty()) words.insert(words.end(), {std::string(flag), value});
  };
  add("--auth-secret-file", auth.secret_file);
  add("--auth-tenant", auth.tenant);
  add("--tls-cert", auth.certificate_file);
  add("--tls-key", auth.key_file);
  add("--tls-ca", auth.authority_file);
  if (auth.insecure) words.emplace_back("--insecure");
  if (auth.trusted_fabric) words.emplace_back("--trusted-fabric");
  return words;
}

}  // namespace mooncake::cli
