// RunDir: the directory of one running cluster: a lock that keeps a second one out, the logs, and cluster.json, which
// says where everything is.
//
//   DIR/lock             held (flock) while `mooncake up` lives; the kernel lets go of it however that ends
//   DIR/cluster.json     replaced as a whole by rename, present only while the cluster is up
//   DIR/logs/NAME.log    JSON lines, rotated by the process itself
//   DIR/logs/NAME.stderr what a process printed in distress: failed checks, sanitizer reports
#pragma once

#include <string>
#include <string_view>

#include "base/status.h"

namespace mooncake::cli {

class RunDir {
 public:
  /// Creates the directory if needed, takes the lock, and removes a cluster.json that a killed cluster left.
  /// @return kAlreadyExists if another `mooncake up` lives there, kUnavailable if it cannot be created or written.
  static Result<RunDir> open(const std::string& path);

  RunDir(RunDir&& other) noexcept;
  RunDir& operator=(RunDir&&) = delete;
  /// Removes cluster.json and lets go of the lock.
  ~RunDir();

  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] std::string cluster_file() const { return path_ + "/cluster.json"; }
  [[nodiscard]] std::string log_file(std::string_view process) const;
  [[nodiscard]] std::string stderr_file(std::string_view process) const;

  /// Replaces cluster.json; a reader sees the old text or the new one. @return kUnavailable with the system's reason.
  Status write_cluster_file(std::string_view text) const;

 private:
  RunDir(std::string path, int lock) : path_(std::move(path)), lock_(lock) {}

  std::string path_;  ///< absolute
  int lock_ = -1;     ///< open file that carries the flock; -1 after a move
};

}  // namespace mooncake::cli
