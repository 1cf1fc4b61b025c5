#include "transfer/rdma/rdma_rails.h"

#include <algorithm>

namespace mooncake::transfer {
namespace {

/// What a rail across costs where a straight one costs 1: it is taken when no straight one can carry the slice.
constexpr double kCrossWeight = 1e6;

}  // namespace

void RdmaRails::set_local(std::vector<RdmaAddress> ports) {
  local_ = std::move(ports);
  if (known()) weigh();
}

Status RdmaRails::set_remote(std::vector<RdmaAddress> ports) {
  if (known() && ports.size() != remote_.size()) return {Code::kCorrupt, "the number of RDMA ports has changed"};
  remote_ = std::move(ports);
  if (!known()) lay();
  weigh();
  return {};
}

void RdmaRails::lay() {
  for (std::size_t local = 0; local < local_.size(); ++local) {
    for (std::size_t remote = 0; remote < remote_.size(); ++remote) rails_.push_back({local, remote});
  }
  // The straight ones first, should there be more than can be planned.
  std::ranges::stable_partition(rails_, [this](const Rail& rail) { return straight(rail.local, rail.remote); });
  rails_.resize(std::min(rails_.size(), kRailsMax));
  planner_.emplace(*RailPlanner::create(rails_.size(), kRdmaSlices));
  weights_ = RailWeights(distances_, rails_.size());
  for (std::size_t i = 0; i < rails_.size() && !devices_.empty(); ++i) {
    weights_.set_device(i, devices_.at(rails_[i].local));
  }
}

void RdmaRails::weigh() {
  for (std::size_t i = 0; i < rails_.size(); ++i) {
    const RdmaAddress& local = local_[rails_[i].local];
    const RdmaAddress& remote = remote_[rails_[i].remote];
    const bool usable = local.up && remote.up && local.infiniband == remote.infiniband;
    const double weight = straight(rails_[i].local, rails_[i].remote) ? 1 : kCrossWeight;
    weights_.set_base(i, usable ? weight : kNoRail);
  }
}

bool RdmaRails::any_up() const {
  return std::ranges::any_of(weights_.base(), [](double weight) { return weight != kNoRail; });
}

Result<RailId> RdmaRails::start(std::size_t bytes, MemoryLocation location, const RailSet& tried, Instant now) {
  if (!known()) return Status(Code::kUnavailable, "the peer has not named its RDMA ports");
  return planner_->start(bytes, weights_.at(location), tried, now);
}

void RdmaRails::leave(RailId rail, std::size_t bytes, Verdict verdict, Instant now) {
  switch (verdict) {
    case Verdict::kDone:
      return planner_->on_done(rail, bytes, now);
    case Verdict::kFailed:
      return planner_->on_failed(rail, bytes, now);
    case Verdict::kNone:
      return planner_->on_abandoned(rail, bytes, now);
  }
}

}  // namespace mooncake::transfer
