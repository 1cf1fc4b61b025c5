// `mooncake transfer topology`: which network devices are near which memory, as it was discovered or as a file says.
#include <fmt/core.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "cli/json_output.h"
#include "cli/tool_commands.h"
#include "transfer/topology/discover_topology.h"
#include "transfer/topology/topology_file.h"
#include "transfer/topology/topology_json.h"

namespace mooncake::cli {
namespace {

using transfer::LocationDevices;
using transfer::Topology;

std::string shown(const std::vector<std::string>& devices) {
  return devices.empty() ? "-" : fmt::format("{}", fmt::join(devices, " "));
}

void print(const Topology& topology) {
  std::size_t location_width = std::string_view("memory").size();
  std::size_t preferred_width = std::string_view("preferred").size();
  for (const LocationDevices& row : topology.locations) {
    location_width = std::max(location_width, row.location.size());
    preferred_width = std::max(preferred_width, shown(row.preferred).size());
  }
  const auto line = [&](std::string_view location, std::string_view preferred, std::string_view secondary) {
    fmt::print("{:<{}}  {:<{}}  {}\n", location, location_width, preferred, preferred_width, secondary);
  };
  line("memory", "preferred", "secondary");
  for (const LocationDevices& row : topology.locations) {
    line(row.location, shown(row.preferred), shown(row.secondary));
  }
}

}  // namespace

int run_transfer_topology(const Invocation& invocation) {
  const std::string& file = invocation.config.text("transfer.topology");
  const auto topology = file.empty() ? transfer::discover_topology() : transfer::read_topology_file(file);
  if (!topology.ok()) return fail(topology.status());
  const std::string& json = invocation.config.text("transfer.json");
  if (json != kJsonToStdout) print(*topology);
  const Status written = write_json(json, transfer::format_topology(*topology));
  return written.ok() ? kExitOk : fail(written);
}

}  // namespace mooncake::cli
