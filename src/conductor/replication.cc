#include "conductor/replication.h"

#include <algorithm>

namespace mooncake::conductor {

void Replication::used(std::span<const Key128> cached, std::size_t instances, Instant now) {
  turn_windows(now);
  std::size_t hot = 0;
  for (std::size_t i = 0; i < cached.size(); ++i) {
    if (count(cached[i]) >= kUsesPerInstance * instances && hot == i) ++hot;
  }
  if (hot > 0) note_hot(cached.first(std::min(hot, kHotPrefixBlocksMax)));
}

std::uint32_t Replication::count(const Key128& key) {
  const auto before = uses_before_.find(key);
  const std::uint32_t past = before == uses_before_.end() ? 0 : before->second;
  const auto at = uses_.find(key);
  if (at != uses_.end()) return past + ++at->second;
  if (uses_.size() >= kCountedBlocksMax) return past;
  uses_.emplace(key, 1);
  return past + 1;
}

void Replication::turn_windows(Instant now) {
  if (now - window_began_ < kReplicationWindow) return;
  const bool adjoins = now - window_began_ < 2 * kReplicationWindow;
  window_began_ = now;
  uses_before_ = adjoins ? std::move(uses_) : absl::flat_hash_map<Key128, std::uint32_t>{};
  uses_.clear();
  hot_.clear();
}

// A prefix that begins with a known one takes its place, and with it what was sent. Keys are chained: two prefixes
// agree in all blocks up to one in which they agree.
void Replication::note_hot(std::span<const Key128> prefix) {
  for (HotPrefix& known : hot_) {
    const std::size_t shared = std::min(known.keys.size(), prefix.size());
    if (known.keys[shared - 1] != prefix[shared - 1]) continue;
    if (prefix.size() <= known.keys.size()) return;
    known.keys.assign(prefix.begin(), prefix.end());
    known.settled = false;
    return;
  }
  if (hot_.size() >= kHotPrefixesMax) return;
  hot_.push_back({.keys = {prefix.begin(), prefix.end()}, .sent = {}});
}

void Replication::tick(const Cluster& cluster, Instant now, std::vector<Action>& out) {
  turn_windows(now);
  receiving_.clear();
  for (HotPrefix& prefix : hot_) {
    if (!prefix.settled) copy(cluster, prefix, now, out);
  }
}

// By ascending node.
Replication::Holders Replication::holders_of(const Cluster& cluster, const HotPrefix& prefix) {
  const kvcache::PrefixMatch match = cluster.index.match(prefix.keys);
  Holders holders;
  for (std::uint32_t node = 0; node < match.blocks_by_node.size(); ++node) {
    if (match.blocks(node) > 0) holders.push_back({.node = NodeId{node}, .held = match.blocks(node)});
  }
  for (const auto& [node, end] : prefix.sent) note_sent(holders, node, end);
  return holders;
}

void Replication::note_sent(Holders& holders, NodeId node, std::uint32_t end) {
  auto at = std::ranges::lower_bound(holders, node, {}, &Holder::node);
  if (at == holders.end() || at->node != node) at = holders.insert(at, {.node = node});
  at->sent = end;
}

// Sends what nodes lack of the prefix, from those that may send now, to those that receive nothing else now.
void Replication::copy(const Cluster& cluster, HotPrefix& prefix, Instant now, std::vector<Action>& out) {
  Holders holders = holders_of(cluster, prefix);
  prefix.settled = true;
  for (const NodeId node : cluster.nodes) {
    const auto own = std::ranges::lower_bound(holders, node, {}, &Holder::node);
    const std::uint32_t first = own == holders.end() || own->node != node ? 0 : own->reach();
    if (first >= prefix.keys.size()) continue;
    const auto beyond = std::ranges::count_if(holders, [=](const Holder& holder) { return holder.reach() > first; });
    if (beyond >= kHoldersMax) continue;
    const Sender sender = sender_of(first, holders, cluster, now);
    if (sender.later) prefix.settled = false;
    if (sender.end == first) continue;
    const std::uint32_t end = std::min(sender.end, first + kCopyBlocksMax);
    if (end < prefix.keys.size() || receiving_.contains(node)) prefix.settled = false;
    if (!receiving_.insert(node).second) continue;
    note_sent(holders, node, end);
    prefix.sent[node] = end;
    const Nanos takes = cluster.cost.transfer((end - first) * cluster.block_tokens, false);
    rests_until_[sender.node] = now + from_ms(to_ms(takes) / kReplicationShare);
    out.push_back({.kind = Action::Kind::kReplicate,
                   .from = sender.node,
                   .to = node,
                   .keys = {prefix.keys.begin() + first, prefix.keys.begin() + end},
                   .first_block = first});
  }
}

// Of the nodes that may send now, the one with most blocks from `first` on; of equal ones the one with the lowest id.
Replication::Sender Replication::sender_of(std::uint32_t first, const Holders& holders, const Cluster& cluster,
                                           Instant now) const {
  Sender best{.end = first};
  for (const Holder& holder : holders) {
    if (holder.held <= best.end) continue;
    if (may_send(cluster, holder.node, now)) {
      best = {.node = holder.node, .end = holder.held, .later = best.later};
    } else {
      best.later = true;
    }
  }
  return best;
}

bool Replication::may_send(const Cluster& cluster, NodeId node, Instant now) const {
  const auto rests = rests_until_.find(node);
  return (rests == rests_until_.end() || rests->second <= now) &&
         cluster.bookings.backlog(node, Outlet::kLink, now) <= Nanos{0} &&
         cluster.bookings.backlog(node, Outlet::kSsd, now) <= Nanos{0};
}

}  // namespace mooncake::conductor
