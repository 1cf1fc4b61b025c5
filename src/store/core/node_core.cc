#include "store/core/node_core.h"

#include <algorithm>

#include "base/check.h"

namespace mooncake::store {
namespace {

std::uint32_t watermark_pages(const NodeCoreConfig& config) {
  const std::uint64_t pages = config.pool_bytes / config.page_bytes;
  return static_cast<std::uint32_t>(config.high_watermark * static_cast<double>(pages));
}

}  // namespace

NodeCore::NodeCore(const NodeCoreConfig& config)
    : watermark_pages_(watermark_pages(config)), slabs_(config.pool_bytes, config.page_bytes) {}

NodeCore::PutStart NodeCore::begin_put(const Key128& key, std::uint64_t bytes, NodeChanges& changes, ObjectId& id) {
  CHECK(bytes > 0);
  if (const auto found = index_.find(key); found != index_.end()) {
    if (at(found->second).state == State::kPending) return PutStart::kPending;
    if (at(found->second).pins == 0) lru_.touch(found->second);
    return PutStart::kExists;
  }
  if (bytes > bytes_capacity()) return PutStart::kTooLarge;
  if (!make_room(bytes, changes)) return PutStart::kNoRoom;
  id = new_object();
  std::optional<Extents> extents = slabs_.allocate(bytes, id);
  CHECK(extents.has_value());
  slabs_.hold(*extents);
  objects_[id] = {
      .key = key, .bytes = bytes, .version = ++versions_, .state = State::kPending, .extents = *std::move(extents)};
  index_.emplace(key, id);
  return PutStart::kAllocated;
}

void NodeCore::commit_put(ObjectId id, std::uint32_t crc32c, NodeChanges& changes) {
  Object& object = at(id);
  CHECK(object.state == State::kPending);
  object.state = State::kCommitted;
  object.crc32c = crc32c;
  slabs_.release(object.extents);
  lru_.push_newest(id);
  changes.push_back({NodeChange::Kind::kStored, object.key, crc32c, object.version});
}

void NodeCore::abort_put(ObjectId id) {
  Object& object = at(id);
  CHECK(object.state == State::kPending);
  slabs_.release(object.extents);
  CHECK(index_.erase(object.key) == 1);
  free_object(id);
}

void NodeCore::confirm(const Key128& key, std::uint64_t version) {
  const auto found = index_.find(key);
  if (found == index_.end()) return;
  Object& object = at(found->second);
  if (object.state == State::kCommitted && object.version == version) object.confirmed = true;
}

bool NodeCore::confirmed(const Key128& key) const {
  const auto found = index_.find(key);
  return found != index_.end() && at(found->second).confirmed;
}

std::optional<ObjectView> NodeCore::pin(const Key128& key) {
  const auto found = index_.find(key);
  if (found == index_.end()) return std::nullopt;
  Object& object = at(found->second);
  if (!object.confirmed || object.pins == kPinsMax) return std::nullopt;
  if (object.pins++ == 0) {
    lru_.remove(found->second);
    slabs_.hold(object.extents);
  }
  return ObjectView{found->second, object.bytes, object.crc32c, &object.extents};
}

void NodeCore::unpin(ObjectId id) {
  Object& object = at(id);
  CHECK(object.pins > 0);
  if (--object.pins > 0) return;
  slabs_.release(object.extents);
  if (object.state == State::kDropped) {
    free_object(id);
  } else {
    lru_.push_newest(id);
  }
}

void NodeCore::drop(const Key128& key, std::optional<std::uint64_t> version, NodeChanges& changes) {
  const auto found = index_.find(key);
  if (found == index_.end()) return;
  const ObjectId id = found->second;
  Object& object = at(id);
  if (object.state != State::kCommitted || (version && *version != object.version)) return;
  changes.push_back({NodeChange::Kind::kRemoved, key, object.crc32c, object.version});
  index_.erase(found);
  if (object.pins > 0) {
    object.state = State::kDropped;  // the last unpin() frees it
    return;
  }
  lru_.remove(id);
  free_object(id);
}

bool NodeCore::reclaim(std::size_t objects_max, NodeChanges& changes) {
  const std::uint64_t stop = evictions_ + objects_max;
  std::optional<ObjectId> victim = lru_.oldest();
  while (victim && above_watermark() && evictions_ < stop) {
    const std::optional<ObjectId> next = next_outside_page(*victim);
    if (!slabs_.page_held(at(*victim).extents)) evict_page_of(*victim, changes);
    victim = next;
  }
  return victim && above_watermark();
}

NodeChanges NodeCore::report() const {
  NodeChanges changes;
  changes.reserve(index_.size());
  for (const auto& [key, id] : index_) {
    const Object& object = at(id);
    if (object.state != State::kCommitted) continue;
    changes.push_back({NodeChange::Kind::kStored, key, object.crc32c, object.version});
  }
  std::ranges::stable_partition(changes, [this](const NodeChange& change) { return confirmed(change.key); });
  return changes;
}

// Walks from the least recently used. A victim helps when it leaves whole pages, when its slot is of the right size, or
// when its slab page can be emptied; others stay. So every eviction is a step towards room, and when the first test
// says that all steps together suffice the walk ends in success.
bool NodeCore::make_room(std::uint64_t bytes, NodeChanges& changes) {
  std::optional<ObjectId> victim = lru_.oldest();
  const bool suffices = slabs_.fits_without_unheld(bytes);
  while (!slabs_.fits(bytes)) {
    if (!victim) {
      CHECK(!suffices);
      return false;
    }
    const Object& object = at(*victim);
    if (slabs_.same_class(object.bytes, bytes)) {
      evict(*victim, changes);
      return true;
    }
    const std::optional<ObjectId> next = next_outside_page(*victim);
    if (suffices && !slabs_.page_held(object.extents)) evict_page_of(*victim, changes);
    victim = next;
  }
  return true;
}

std::optional<ObjectId> NodeCore::next_outside_page(ObjectId id) const {
  const bool small = slabs_.whole_pages(at(id).bytes) == 0;
  const std::uint64_t page = at(id).extents.front().offset / slabs_.page_bytes();
  std::optional<ObjectId> next = lru_.newer(id);
  while (small && next && at(*next).extents.front().offset / slabs_.page_bytes() == page) next = lru_.newer(*next);
  return next;
}

void NodeCore::evict_page_of(ObjectId id, NodeChanges& changes) {
  const std::vector<ObjectId> beside = slabs_.owners_beside(at(id).extents);
  if (beside.empty()) return evict(id, changes);
  for (const ObjectId other : beside) evict(other, changes);
}

void NodeCore::evict(ObjectId id, NodeChanges& changes) {
  const Object& object = at(id);
  CHECK(object.state == State::kCommitted && object.pins == 0);
  changes.push_back({NodeChange::Kind::kRemoved, object.key, object.crc32c, object.version});
  lru_.remove(id);
  CHECK(index_.erase(object.key) == 1);
  free_object(id);
  ++evictions_;
}

ObjectId NodeCore::new_object() {
  if (free_ids_.empty()) {
    objects_.emplace_back();
    return static_cast<ObjectId>(objects_.size() - 1);
  }
  const ObjectId id = free_ids_.back();
  free_ids_.pop_back();
  return id;
}

void NodeCore::free_object(ObjectId id) {
  slabs_.free(at(id).extents);
  objects_[id] = {};
  free_ids_.push_back(id);
}

NodeCore::Object& NodeCore::at(ObjectId id) {
  CHECK(id < objects_.size() && objects_[id].state != State::kFree);
  return objects_[id];
}

const NodeCore::Object& NodeCore::at(ObjectId id) const {
  CHECK(id < objects_.size() && objects_[id].state != State::kFree);
  return objects_[id];
}

}  // namespace mooncake::store
