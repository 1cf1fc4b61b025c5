// Credentials: files with what all processes of one soak prove themselves with, in the mode that it runs in.
#pragma once

#include <string>

#include "transfer/auth/test_certificates.h"

namespace mooncake::soak {

class Credentials {
 public:
  /// `mode`: plain, mac or tls. The files are there as long as this lives.
  explicit Credentials(std::string mode) : mode_(std::move(mode)) {
    dir_.write("secret", transfer::kSecret);
    transfer::TestAuthority("ours").issue(dir_, "soak", "DNS:soak,DNS:shm-peer,DNS:tcp-peer");
  }
  [[nodiscard]] const std::string& mode() const { return mode_; }
  [[nodiscard]] std::string directory() const { return dir_.path(""); }
  [[nodiscard]] transfer::AuthConfig config() const { return config(mode_, directory()); }

  /// What a process makes of another's.
  static transfer::AuthConfig config(const std::string& mode, const std::string& directory) {
    using transfer::AuthMode;
    if (mode == "mac") return {.mode = AuthMode::kMac, .secret_file = directory + "secret"};
    if (mode != "tls") return {};
    return {.mode = AuthMode::kTls,
            .certificate_file = directory + "soak.crt",
            .key_file = directory + "soak.key",
            .authority_file = directory + "ours.ca",
            .trusted_fabric = true};  // so that there is shm, too
  }

 private:
  const std::string mode_;
  const transfer::SecretDir dir_;
};

}  // namespace mooncake::soak
