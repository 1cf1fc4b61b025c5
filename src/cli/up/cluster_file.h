// ClusterFile: the text of cluster.json, and the line by which a process says that it is ready.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace mooncake::cli {

/// One process as cluster.json lists it.
struct ClusterEntry {
  std::string role;
  std::string name;
  int pid = 0;
  std::string endpoint;  ///< of the gateway: HTTP; of the others: transfer engine
  std::string metrics;   ///< URL of its metrics page
};

/// {"url": "http://...", "processes": [{"role", "name", "pid", "endpoint", "metrics"}]}
std::string cluster_json(std::string_view url, const std::vector<ClusterEntry>& entries);

/// The gateway's URL in a cluster.json. @return kNotFound without such a file (no cluster is up there), kCorrupt.
Result<std::string> read_cluster_url(const std::string& cluster_file);

/// What a process says on its ready descriptor: once, and a worker again after each change of its role.
struct ReadyLine {
  std::string role{};  ///< of a worker, what it serves as; of the others: empty
  std::string endpoint{};
  std::string metrics{};
  std::string model{};  ///< of the gateway: the id that requests name; of the others: empty
};

/// {"role", "endpoint", "metrics", "model"} and a line feed.
std::string ready_line(const ReadyLine& ready);
/// {"error": message} and a line feed: the process cannot start, and why.
std::string ready_error_line(std::string_view message);
/// Reads either line. @return kUnavailable with the process's own message, kCorrupt if it is neither.
Result<ReadyLine> parse_ready_line(std::string_view line);

}  // namespace mooncake::cli
