#include "store/core/directory.h"

#include <algorithm>

#include "base/check.h"

namespace mooncake::store {

bool Directory::store(NodeSlot node, const Key128& key, std::uint32_t crc32c) {
  if (node >= held_.size()) held_.resize(node + 1);
  Entry& entry = entries_[key];
  const bool held = held_[node].contains(key);
  // A node that holds the only copy may say something new about it: it evicted and took other bytes in between.
  if (entry.count == 0 || (held && entry.count == 1)) entry.crc32c = crc32c;
  if (entry.crc32c != crc32c) return false;
  if (held) return true;
  if (entry.count == kReplicasMax) return false;
  entry.nodes[entry.count++] = node;
  held_[node].insert(key);
  log_.append({DirectoryChange::Kind::kStored, node, key});
  return true;
}

void Directory::remove(NodeSlot node, const Key128& key) {
  if (node >= held_.size() || held_[node].erase(key) == 0) return;
  forget(node, key);
  log_.append({DirectoryChange::Kind::kRemoved, node, key});
}

void Directory::clear(NodeSlot node) {
  if (node >= held_.size() || held_[node].empty()) return;
  for (const Key128& key : held_[node]) forget(node, key);
  held_[node] = {};
  log_.append({DirectoryChange::Kind::kCleared, node, {}});
}

std::span<const NodeSlot> Directory::find(const Key128& key) const {
  const auto found = entries_.find(key);
  if (found == entries_.end()) return {};
  return {found->second.nodes.data(), found->second.count};
}

std::vector<Key128> Directory::keys_of(NodeSlot node) const {
  if (node >= held_.size()) return {};
  return {held_[node].begin(), held_[node].end()};
}

void Directory::forget(NodeSlot node, const Key128& key) {
  const auto found = entries_.find(key);
  CHECK(found != entries_.end());
  Entry& entry = found->second;
  const auto end = entry.nodes.begin() + entry.count;
  const auto at = std::find(entry.nodes.begin(), end, node);
  CHECK(at != end);
  std::move(at + 1, end, at);
  if (--entry.count == 0) entries_.erase(found);
}

}  // namespace mooncake::store
