// Nearness: what an engine with more than one rail knows of distance: its host's topology, and where memory lies in it.
#pragma once

#include <memory>
#include <string>

#include "base/bytes.h"
#include "base/status.h"
#include "base/time.h"
#include "transfer/rail/rail_weights.h"
#include "transfer/topology/memory_location.h"
#include "transfer/topology/numa_nodes.h"
#include "transfer/transfer_engine.h"

namespace mooncake::transfer {

class Nearness {
 public:
  explicit Nearness(Distances distances) : distances_(std::move(distances)) {}

  /// By `file`; else, if there is a choice between rails, as it is discovered. Blocks for some 10 ms then.
  /// @return null where there is nothing to know: nobody chooses, or the host cannot be asked (which is logged).
  /// kNotFound, kInvalidArgument: the file cannot be read, or is no topology.
  static Result<std::unique_ptr<Nearness>> find(const std::string& file, bool choice);

  /// For RailWeights.
  Distances* distances() { return &distances_; }
  /// Where registered memory lies. Loop thread only; `now` must not decrease.
  MemoryLocation of(ConstByteSpan memory, MemoryKind kind, Instant now);

 private:
  Distances distances_;
  NumaNodes nodes_;
};

}  // namespace mooncake::transfer
