#include "transfer/rdma/lane_choice.h"

#include <vector>

namespace mooncake::transfer {

std::optional<LaneChoice> choose_lane(std::span<const RdmaAddress> local, std::span<const RdmaAddress> remote,
                                      std::size_t attempt) {
  std::vector<LaneChoice> straight;
  std::vector<LaneChoice> across;
  for (std::size_t i = 0; i < local.size(); ++i) {
    for (std::size_t j = 0; j < remote.size(); ++j) {
      if (!local[i].up || !remote[j].up || local[i].infiniband != remote[j].infiniband) continue;
      (i % remote.size() == j % local.size() ? straight : across).push_back({i, j});
    }
  }
  const std::vector<LaneChoice>& from = straight.empty() ? across : straight;
  if (from.empty()) return std::nullopt;
  return from[attempt % from.size()];
}

}  // namespace mooncake::transfer
