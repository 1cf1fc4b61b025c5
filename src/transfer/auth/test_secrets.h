// For tests: a directory of files with secrets, and engines that use them.
#pragma once

#include <stdlib.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "base/check.h"
#include "transfer/transfer_engine.h"

namespace mooncake::transfer {

/// A directory of its own, removed with all that is in it.
class SecretDir {
 public:
  SecretDir() {
    std::string path = (std::filesystem::temp_directory_path() / "mooncake-auth-XXXXXX").string();
    CHECK(::mkdtemp(path.data()) != nullptr);
    path_ = path;
  }
  ~SecretDir() { std::filesystem::remove_all(path_); }

  /// Writes a file that only its owner may read, or with another mode.
  std::string write(const std::string& name, const std::string& text, mode_t mode = 0600) const {
    const std::string file = (path_ / name).string();
    std::ofstream(file, std::ios::binary) << text;
    CHECK(::chmod(file.c_str(), mode) == 0);
    return file;
  }
  [[nodiscard]] std::string path(const std::string& name) const { return (path_ / name).string(); }

 private:
  std::filesystem::path path_;
};

inline constexpr char kSecret[] = "0123456789abcdef0123456789abcdef-the-cluster";

/// As the holder of what the file holds.
inline TransferConfig mac_config(std::string secret_file, const std::string& name = "unnamed",
                                 std::string tenant = {}) {
  TransferConfig config;
  config.node_name = name;
  config.auth = {.mode = AuthMode::kMac, .secret_file = std::move(secret_file), .tenant = std::move(tenant)};
  return config;
}

}  // namespace mooncake::transfer
