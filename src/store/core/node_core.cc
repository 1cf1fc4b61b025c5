#include "store/core/node_core.h"

#include <algorithm>
#include <array>

#include "base/check.h"

namespace mooncake::store {
namespace {

std::uint32_t watermark_pages(const NodeCoreConfig& config) {
  const std::uint64_t pages = config.pool_bytes / config.page_bytes;
  return static_cast<std::uint32_t>(config.high_watermark * static_cast<double>(pages));
}

constexpr std::array<std::string_view, 5> kNodeEvictionNames = {"lru", "fifo", "lfu", "sieve", "s3fifo"};

std::unique_ptr<EvictionPolicy> make_policy(std::string_view name) {
  CHECK(std::ranges::find(kNodeEvictionNames, name) != kNodeEvictionNames.end());
  return make_eviction_policy(name).value();
}

// Any 64 bits of a key are a good hash of it. No depth: see node_eviction_names().
EvictionPolicy::Use use_of(const Key128& key) { return {.key = key.low, .depth = 0}; }

}  // namespace

std::span<const std::string_view> node_eviction_names() { return kNodeEvictionNames; }

NodeCore::NodeCore(const NodeCoreConfig& config)
    : watermark_pages_(watermark_pages(config)),
      slabs_(config.pool_bytes, config.page_bytes),
      policy_(make_policy(config.eviction)) {}

NodeCore::PutStart NodeCore::begin_put(const Key128& key, std::uint64_t bytes, NodeChanges& changes, ObjectId& id) {
  CHECK(bytes > 0);
  if (const auto found = index_.find(key); found != index_.end()) {
    if (at(found->second).state == State::kPending) return PutStart::kPending;
    use(found->second);
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
  policy_->insert(id, use_of(object.key));
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
  if (object.pins++ == 0) slabs_.hold(object.extents);
  use(found->second);
  return ObjectView{found->second, object.bytes, object.crc32c, &object.extents};
}

void NodeCore::unpin(ObjectId id) {
  Object& object = at(id);
  CHECK(object.pins > 0);
  if (--object.pins > 0) return;
  slabs_.release(object.extents);
  if (object.state == State::kDropped) free_object(id);
}

void NodeCore::use(ObjectId id) { policy_->touch(id, use_of(at(id).key)); }

void NodeCore::drop(const Key128& key, std::optional<std::uint64_t> version, NodeChanges& changes) {
  const auto found = index_.find(key);
  if (found == index_.end()) return;
  const ObjectId id = found->second;
  Object& object = at(id);
  if (object.state != State::kCommitted || (version && *version != object.version)) return;
  changes.push_back({NodeChange::Kind::kRemoved, key, object.crc32c, object.version});
  index_.erase(found);
  policy_->remove(id);
  if (object.pins > 0) {
    object.state = State::kDropped;  // the last unpin() frees it
    return;
  }
  free_object(id);
}

bool NodeCore::reclaim(std::size_t objects_max, NodeChanges& changes) {
  const std::uint64_t stop = evictions_ + objects_max;
  while (above_watermark() && evictions_ < stop) {
    const std::optional<ObjectId> victim = policy_->evict([&](ObjectId id) { return page_can_be_emptied(at(id)); });
    if (!victim) return false;
    evict_page_of(*victim, changes);
  }
  return above_watermark();
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

// A victim helps when its slot is of the right size, or when its pages can be emptied; others stay. So every eviction
// is a step towards room, and when the first test says that all steps together suffice the loop ends in success.
bool NodeCore::make_room(std::uint64_t bytes, NodeChanges& changes) {
  const bool suffices = slabs_.fits_without_unheld(bytes);
  if (!suffices && slabs_.whole_pages(bytes) > 0) return false;
  const auto helps = [&](ObjectId id) {
    const Object& object = at(id);
    if (object.pins == 0 && slabs_.same_class(object.bytes, bytes)) return true;
    return suffices && page_can_be_emptied(object);
  };
  while (!slabs_.fits(bytes)) {
    const std::optional<ObjectId> victim = policy_->evict(helps);
    if (!victim) {
      CHECK(!suffices);
      return false;
    }
    if (slabs_.same_class(at(*victim).bytes, bytes)) {
      evict(*victim, changes);
      return true;
    }
    evict_page_of(*victim, changes);
  }
  return true;
}

bool NodeCore::page_can_be_emptied(const Object& object) const {
  return object.pins == 0 && !slabs_.page_held(object.extents);
}

// The policy has named `victim` and let go of it; those beside it are taken from the policy here.
void NodeCore::evict_page_of(ObjectId victim, NodeChanges& changes) {
  for (const ObjectId beside : slabs_.owners_beside(at(victim).extents)) {
    if (beside == victim) continue;
    policy_->remove(beside);
    evict(beside, changes);
  }
  evict(victim, changes);
}

// The policy knows no more of `victim`.
void NodeCore::evict(ObjectId victim, NodeChanges& changes) {
  const Object& object = at(victim);
  CHECK(object.state == State::kCommitted && object.pins == 0);
  changes.push_back({NodeChange::Kind::kRemoved, object.key, object.crc32c, object.version});
  CHECK(index_.erase(object.key) == 1);
  free_object(victim);
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
