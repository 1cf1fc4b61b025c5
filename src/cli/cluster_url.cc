#include "cli/cluster_url.h"

#include <fmt/core.h>

#include "cli/up/cluster_file.h"

namespace mooncake::cli {

Result<std::string> cluster_url(const Invocation& invocation, std::string_view section) {
  std::string url = invocation.config.text(fmt::format("{}.url", section));
  if (url.empty()) {
    std::string dir = invocation.config.text(fmt::format("{}.run_dir", section));
    if (dir.empty()) dir = default_run_dir(invocation.environment);
    return read_cluster_url(dir + "/cluster.json");
  }
  while (url.ends_with('/')) url.pop_back();
  return url;
}

}  // namespace mooncake::cli
