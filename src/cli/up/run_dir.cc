#include "cli/up/run_dir.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <utility>

namespace mooncake::cli {
namespace {

namespace fs = std::filesystem;

Status unusable(const std::string& path, std::string_view reason) {
  return {Code::kUnavailable, fmt::format("cannot use the run directory {}: {}", path, reason)};
}

std::string first_line(const std::string& file) {
  std::ifstream in(file);
  std::string line;
  std::getline(in, line);
  return line;
}

}  // namespace

Result<RunDir> RunDir::open(const std::string& path) {
  std::error_code error;
  const std::string absolute = fs::absolute(path, error).lexically_normal().string();
  if (error) return unusable(path, error.message());
  fs::create_directories(absolute + "/logs", error);
  if (error) return unusable(absolute, error.message());

  const std::string lock_file = absolute + "/lock";
  // Not inherited by children: the lock must not outlive this process.
  const int lock = ::open(lock_file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (lock < 0) return unusable(absolute, std::strerror(errno));
  if (::flock(lock, LOCK_EX | LOCK_NB) != 0) {
    ::close(lock);
    return Status(
        Code::kAlreadyExists,
        fmt::format(
            "a cluster is running in {} already (`mooncake up` with pid {}); end it, or choose another --run-dir",
            absolute, first_line(lock_file)));
  }
  RunDir dir(absolute, lock);
  const std::string pid = fmt::format("{}\n", ::getpid());
  if (::ftruncate(lock, 0) != 0 || ::pwrite(lock, pid.data(), pid.size(), 0) != static_cast<ssize_t>(pid.size())) {
    return unusable(absolute, std::strerror(errno));
  }
  if (::access((absolute + "/logs").c_str(), W_OK | X_OK) != 0)
    return unusable(absolute + "/logs", std::strerror(errno));
  fs::remove(dir.cluster_file(), error);
  return dir;
}

RunDir::RunDir(RunDir&& other) noexcept : path_(std::move(other.path_)), lock_(std::exchange(other.lock_, -1)) {}

RunDir::~RunDir() {
  if (lock_ < 0) return;
  std::error_code ignored;
  fs::remove(cluster_file(), ignored);
  ::close(lock_);
}

std::string RunDir::log_file(std::string_view process) const { return fmt::format("{}/logs/{}.log", path_, process); }

std::string RunDir::stderr_file(std::string_view process) const {
  return fmt::format("{}/logs/{}.stderr", path_, process);
}

Status RunDir::write_cluster_file(std::string_view text) const {
  const std::string draft = cluster_file() + ".new";
  {
    std::ofstream out(draft, std::ios::trunc);
    out << text;
    out.close();
    if (!out) return unusable(path_, fmt::format("writing {} failed", draft));
  }
  if (std::rename(draft.c_str(), cluster_file().c_str()) != 0) return unusable(path_, std::strerror(errno));
  return {};
}

}  // namespace mooncake::cli
