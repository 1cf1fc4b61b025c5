// Replication: copies prefixes that are used often to more nodes, before somebody has to wait for them there.
//
// A node that lacks a prefix gets it when the first prompt that needs it is placed there, and that prompt waits for the
// transfer. If prompts are spread and every instance expects such a one soon, the bytes will travel in any case: a copy
// ahead costs nothing and saves the wait. So a prefix is hot when its blocks were used kUsesPerInstance times for each
// prefill instance within the last one to two kReplicationWindow. Uses are counted by block, in two windows of which
// the older one is dropped, so that what was counted is bounded in time and in memory.
//
// The copies of one sender take kReplicationShare of its time at most: after each it rests until that share is kept,
// and none begins while a prompt waits for something of it. A node receives one copy a tick. What is copied is on no
// books: predicted transfers do not count it.
//
// Pure: time is passed in and must not decrease. Thread-compatible. At its limits 12 MB. Source: docs/conductor.md,
// replication.
#pragma once

#include <absl/container/flat_hash_map.h>
#include <absl/container/flat_hash_set.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <span>
#include <vector>

#include "base/key128.h"
#include "base/time.h"
#include "conductor/bookings.h"
#include "conductor/conductor.h"
#include "kvcache/cost_model.h"
#include "kvcache/prefix_index.h"

namespace mooncake::conductor {

/// A conversation's next turn comes within half a minute; what was not used for a minute is not hot.
inline constexpr Nanos kReplicationWindow = Seconds(30);
/// One use would make up for the copy; the second is for the prediction being wrong.
inline constexpr std::uint32_t kUsesPerInstance = 2;
/// Of the time that a node could send.
inline constexpr double kReplicationShare = 0.1;
/// Nodes that hold a block after which no more copies are made: what the store's directory remembers of one.
inline constexpr std::uint32_t kHoldersMax = 4;
/// Blocks counted in one window. The two windows take 7 MB; beyond it newcomers are not counted.
inline constexpr std::size_t kCountedBlocksMax = 65'536;
/// Prefixes in work. What does not find a place now is found hot again in the next window.
inline constexpr std::size_t kHotPrefixesMax = 256;
/// Blocks of one of them: 65,536 tokens where a block has 64. What comes behind is fetched by who needs it.
inline constexpr std::size_t kHotPrefixBlocksMax = 1024;

class Replication {
 public:
  /// What the copies are decided from; all borrowed.
  struct Cluster {
    const kvcache::PrefixIndex& index;
    const kvcache::CostModel& cost;
    Bookings& bookings;             ///< asking for a sender's backlog expires what it has sent
    std::span<const NodeId> nodes;  ///< of usable prefill instances, ascending, each once
    std::uint32_t block_tokens = 1;
  };

  /// A request uses `cached`, the leading blocks of its prompt that some node holds, in a cluster of so many prefill
  /// instances. O(blocks).
  void used(std::span<const Key128> cached, std::size_t instances, Instant now);

  /// Appends the copies that should begin now. O(prefixes in work x (blocks of one + nodes x its holders)).
  void tick(const Cluster& cluster, Instant now, std::vector<Action>& out);

 private:
  struct HotPrefix {
    std::vector<Key128> keys;
    std::map<NodeId, std::uint32_t> sent;  // blocks up to which a node was sent them
    bool settled = false;                  // every node has it, was sent it, or need not
  };
  /// A node that holds a beginning of a prefix, or will.
  struct Holder {
    NodeId node{};
    std::uint32_t held = 0;  // blocks
    std::uint32_t sent = 0;  // blocks, when all is there that was sent
    [[nodiscard]] std::uint32_t reach() const { return std::max(held, sent); }
  };
  using Holders = std::vector<Holder>;  // by ascending node
  struct Sender {
    NodeId node{};
    std::uint32_t end = 0;  // blocks that it holds
    bool later = false;     // somebody has more and may not send now
  };

  std::uint32_t count(const Key128& key);
  void turn_windows(Instant now);
  void note_hot(std::span<const Key128> prefix);
  [[nodiscard]] static Holders holders_of(const Cluster& cluster, const HotPrefix& prefix);
  static void note_sent(Holders& holders, NodeId node, std::uint32_t end);
  void copy(const Cluster& cluster, HotPrefix& prefix, Instant now, std::vector<Action>& out);
  [[nodiscard]] Sender sender_of(std::uint32_t first, const Holders& holders, const Cluster& cluster,
                                 Instant now) const;
  [[nodiscard]] bool may_send(const Cluster& cluster, NodeId node, Instant now) const;

  Instant window_began_{};
  absl::flat_hash_map<Key128, std::uint32_t> uses_;  // in this window
  absl::flat_hash_map<Key128, std::uint32_t> uses_before_;
  std::vector<HotPrefix> hot_;  // in this window, in the order in which they were found
  absl::flat_hash_map<NodeId, Instant> rests_until_;
  absl::flat_hash_set<NodeId> receiving_;  // in this tick
};

}  // namespace mooncake::conductor
