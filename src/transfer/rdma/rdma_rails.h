// RdmaRails: the rails to one peer, a port here and one there each, and which of them a slice takes.
//
// A port goes with the port of the same place at the other side as long as there is such a rail: clusters that have a
// network for each rail connect them so, and nothing else. Which of several is the planner's choice (rail/), also by
// how near our port is to the memory of the slice. Thread-compatible; the owner passes `now`, which must not decrease.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "transfer/rail/rail_planner.h"
#include "transfer/rail/rail_weights.h"
#include "transfer/rdma/rdma_frame.h"

namespace mooncake::transfer {

class RdmaRails {
 public:
  struct Rail {
    std::size_t local = 0;
    std::size_t remote = 0;
    std::uint64_t endpoint = 0;  ///< 0: none is open
  };
  /// What a slice tells of its rail when it leaves it.
  enum class Verdict : std::uint8_t { kDone, kFailed, kNone };

  /// `devices` has the name of each port's device, or nothing; `distances` as for RailWeights.
  explicit RdmaRails(Distances* distances = nullptr, std::vector<std::string> devices = {})
      : distances_(distances), devices_(std::move(devices)) {}

  /// The ports of this side, as they are now; the same ones in each call.
  void set_local(std::vector<RdmaAddress> ports);
  /// The same of the peer. @return kCorrupt if their number has changed.
  Status set_remote(std::vector<RdmaAddress> ports);
  /// Both sides' ports are known.
  [[nodiscard]] bool known() const { return planner_.has_value(); }
  /// True if some rail has both its ports up. It may cool down just now.
  [[nodiscard]] bool any_up() const;

  /// How long the next slice is of a request with `rest` > 0 bytes left in memory at `location`. Both sides are known.
  [[nodiscard]] std::size_t cut(std::size_t rest, MemoryLocation location, Instant now) {
    return planner_->cut(rest, weights_.at(location), {}, now);
  }
  /// A slice of `bytes` there begins on a rail that is not in `tried`. @return kUnavailable if none can take it.
  Result<RailId> start(std::size_t bytes, MemoryLocation location, const RailSet& tried, Instant now);
  /// It leaves the rail, once.
  void leave(RailId rail, std::size_t bytes, Verdict verdict, Instant now);
  /// It failed, whether slices were on it or not: it cools down.
  void fail(RailId rail, Instant now) { planner_->on_rail_failed(rail, now); }

  [[nodiscard]] const std::vector<RdmaAddress>& remote() const { return remote_; }
  [[nodiscard]] std::span<const Rail> all() const { return rails_; }
  Rail& operator[](RailId rail) { return rails_[static_cast<std::size_t>(rail)]; }

 private:
  [[nodiscard]] bool straight(std::size_t local, std::size_t remote) const {
    return local % remote_.size() == remote % local_.size();
  }
  void lay();
  void weigh();

  std::vector<RdmaAddress> local_;
  std::vector<RdmaAddress> remote_;  // empty until the peer has named them
  std::vector<Rail> rails_;
  Distances* distances_;
  std::vector<std::string> devices_;
  RailWeights weights_{nullptr, 0};
  std::optional<RailPlanner> planner_;
};

}  // namespace mooncake::transfer
