#include "transfer/rail/nearness.h"

#include "base/log.h"
#include "transfer/cuda/device_pointer.h"
#include "transfer/topology/discover_topology.h"
#include "transfer/topology/topology_file.h"

namespace mooncake::transfer {

Result<std::unique_ptr<Nearness>> Nearness::find(const std::string& file, bool choice) {
  if (!file.empty()) {
    MC_ASSIGN_OR_RETURN(Topology topology, read_topology_file(file));
    return std::make_unique<Nearness>(Distances{.topology = std::move(topology), .unlisted = kNoRail});
  }
  if (!choice) return std::unique_ptr<Nearness>();
  Result<Topology> found = discover_topology();
  if (!found.ok()) {
    log_warn("transfer: all rails are taken to be equally near: {}", found.status().message());
    return std::unique_ptr<Nearness>();
  }
  return std::make_unique<Nearness>(Distances{.topology = std::move(*found)});
}

MemoryLocation Nearness::of(ConstByteSpan memory, MemoryKind kind, Instant now) {
  using Kind = MemoryLocation::Kind;
  const bool device = kind == MemoryKind::kCuda;
  const std::optional<int> number = device ? device_of(*find_cuda_driver(), memory.data()) : nodes_.of(memory, now);
  if (!number.has_value()) return {};
  return {.kind = device ? Kind::kCuda : Kind::kCpu, .number = static_cast<std::uint16_t>(*number)};
}

}  // namespace mooncake::transfer
