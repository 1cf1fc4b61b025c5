// Which port here and which there a message lane joins. Pure.
#pragma once

#include <optional>
#include <span>

#include "transfer/rdma/rdma_frame.h"

namespace mooncake::transfer {

struct LaneChoice {
  std::size_t local = 0;
  std::size_t remote = 0;
  bool operator==(const LaneChoice&) const = default;
};

/// The ports for attempt number `attempt`: two of the same place that are up and of one kind, as clusters connect them
/// that have a network for each rail; another two of them with each attempt. Only where there are none such, ports
/// across. Nothing if no two fit.
std::optional<LaneChoice> choose_lane(std::span<const RdmaAddress> local, std::span<const RdmaAddress> remote,
                                      std::size_t attempt);

}  // namespace mooncake::transfer
