// NodeCopies: blocks that one node of a simulated cluster sends another because the Conductor wants them there, and not
// because a request waits for them. Pure; thread-compatible.
#pragma once

#include <absl/container/flat_hash_map.h>

#include <cstdint>
#include <optional>
#include <vector>

#include "conductor/conductor.h"
#include "sim/cluster/cluster.h"
#include "sim/cluster/prefill_node.h"

namespace mooncake::sim {

class NodeCopies {
 public:
  /// `nodes`, by number, must outlive it.
  NodeCopies(const ClusterConfig& config, std::vector<PrefillNode>& nodes) : config_(config), nodes_(nodes) {}

  struct Sent {
    std::uint32_t copy = 0;  ///< for arrived()
    Instant arrives{};
    std::uint32_t from_ssd = 0;  ///< blocks that the sender read from there
  };
  /// Sends the leading blocks of `action` that its sender holds. @return nothing if it holds none of them any more.
  std::optional<Sent> send(const conductor::Action& action, Instant now);
  /// The bytes are there. @return what the store would tell the Conductor of it; nothing of a copy that was lost.
  std::vector<conductor::CacheEvent> arrived(std::uint32_t copy);
  /// A node has failed: what was on its way from there or to there is lost. O(copies on their way).
  void lose(std::uint32_t node);

  [[nodiscard]] std::uint64_t blocks() const { return blocks_; }

 private:
  struct Copy {
    std::uint32_t from = 0;
    std::uint32_t to = 0;
    std::uint32_t first_block = 0;
    std::vector<TraceBlock> blocks;
  };

  const ClusterConfig& config_;
  std::vector<PrefillNode>& nodes_;
  absl::flat_hash_map<std::uint32_t, Copy> copies_;  // on their way
  std::uint32_t sent_ = 0;
  std::uint64_t blocks_ = 0;
};

}  // namespace mooncake::sim
