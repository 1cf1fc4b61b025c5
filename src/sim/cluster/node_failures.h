// NodeFailures: when nodes of a simulated cluster fail and come back. Each works for an exponentially distributed time,
// fails, and is back after a fixed one, whatever the others do.
//
// A node draws from a sequence of its own, so that what it does depends on the seed and its number, and on nothing that
// happens in the cluster. Only its next change is kept: nothing is to be done, nor kept, for times at which nothing
// happens. Pure; thread-compatible. O(log nodes) a change.
#pragma once

#include <cstdint>
#include <functional>
#include <queue>
#include <vector>

#include "base/rng.h"
#include "base/time.h"
#include "sim/cluster/cluster.h"

namespace mooncake::sim {

class NodeFailures {
 public:
  struct Change {
    Instant at{};
    std::uint32_t node = 0;  ///< prefill nodes first, then decode nodes, as the run begins
    bool fails = true;       ///< or it is back
    /// True if it comes after `other`.
    [[nodiscard]] bool operator>(const Change& other) const {
      return at != other.at ? at > other.at : node > other.node;
    }
  };

  /// Of all nodes of the cluster: of prefill nodes alone if there is no decode, and of none without an mtbf.
  explicit NodeFailures(const ClusterConfig& config);

  /// When the next change comes; Instant::max() if nothing ever fails.
  [[nodiscard]] Instant next() const { return pending_.empty() ? Instant::max() : pending_.top().at; }
  /// The next change happens. Something fails in this cluster.
  Change happen();

  /// How many times nodes have failed.
  [[nodiscard]] std::uint64_t failures() const { return failures_; }

 private:
  [[nodiscard]] Nanos draw(std::uint32_t node);

  const Nanos mtbf_;
  const Nanos repair_;
  std::vector<Rng> rngs_;                                                     // by node
  std::priority_queue<Change, std::vector<Change>, std::greater<>> pending_;  // one a node
  std::uint64_t failures_ = 0;
};

}  // namespace mooncake::sim
