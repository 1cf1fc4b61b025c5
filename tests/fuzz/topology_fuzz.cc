// Any bytes are a topology or an error; a topology keeps every limit, and means the same when it is written again.
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "transfer/topology/topology_json.h"

using namespace mooncake;            // NOLINT: a program of one function
using namespace mooncake::transfer;  // NOLINT

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto topology = parse_topology({reinterpret_cast<const char*>(data), size});
  if (!topology.ok()) {
    CHECK(topology.status().code() == Code::kInvalidArgument && !topology.status().message().empty());
    return 0;
  }
  CHECK(!topology->locations.empty() && topology->locations.size() <= kLocationsMax);
  for (const LocationDevices& row : topology->locations) {
    CHECK(is_memory_location(row.location) && topology->find(row.location) == &row);
    CHECK(row.preferred.size() + row.secondary.size() <= kLocationDevicesMax);
    for (const auto& name : row.preferred) CHECK(is_device_name(name));
    for (const auto& name : row.secondary) CHECK(is_device_name(name));
  }
  const auto again = parse_topology(format_topology(*topology));
  CHECK(again.ok() && *again == *topology);
  return 0;
}
