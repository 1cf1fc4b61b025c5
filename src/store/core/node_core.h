// NodeCore: which objects a node holds, where in its pool, and which go when room is needed.
//
// An object is *pending* from begin_put() until its bytes are there and checked, then *committed*; it is served once
// its publication is *confirmed* by the directory, so that of two values put under one key on two nodes only the one
// that the directory took is ever read. Objects that are pending or pinned never move or go. Among the others an
// EvictionPolicy of the store names who goes first; exactly as many go as a put needs (small objects leave by whole
// pages when another size needs the room).
//
// The policy learns of an object when it is committed. A use is a pin, when it begins, or a put of what is here.
//
// What the directory has to learn comes out as NodeChange, in order.
//
// Pure: no clock, no thread, no I/O, and it never touches the pool's memory. Thread-compatible. O(1) an operation, plus
// O(evicted), plus O(log free runs), plus what the policy takes: O(1), for lfu O(log objects). The policy keeps objects
// that are pinned, so that they neither lose their place nor come in again, and passes over them each time it looks for
// a victim, and over what shares a page with them. Those are as many as requests in flight read; under lru a pin takes
// them to the other end of the line. Only when too little else is left for a put is everything looked at.
#pragma once

#include <absl/container/flat_hash_map.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "base/key128.h"
#include "store/core/eviction/eviction_policy.h"
#include "store/core/slab_allocator.h"

namespace mooncake::store {

/// Names an object of this node from begin_put() or pin() on, until it is committed and unpinned or aborted.
using ObjectId = SlabAllocator::OwnerId;

/// Readers of one object at once. Each is a request in flight: this is far above what connections can carry.
inline constexpr std::uint32_t kPinsMax = 1u << 16;

/// Something the directory should know. `version` differs for every object this node ever held.
struct NodeChange {
  enum class Kind : std::uint8_t { kStored, kRemoved };
  Kind kind = Kind::kStored;
  Key128 key;
  std::uint32_t crc32c = 0;
  std::uint64_t version = 0;
  auto operator<=>(const NodeChange&) const = default;
};
using NodeChanges = std::vector<NodeChange>;

struct NodeCoreConfig {
  std::uint64_t pool_bytes = 0;
  std::uint32_t page_bytes = 16u << 10;
  double high_watermark = 0.90;                  ///< share of the pages that background reclaim leaves in use
  std::string_view eviction = kDefaultEviction;  ///< one of node_eviction_names(); another fails a CHECK
};

/// The eviction policies that a node can have: the store's without length-aware, because a put does not say how deep in
/// its prefix a block stands. Without that it would be lfu under another name.
std::span<const std::string_view> node_eviction_names();

/// One committed object as a reader sees it.
struct ObjectView {
  ObjectId id = 0;
  std::uint64_t bytes = 0;
  std::uint32_t crc32c = 0;
  const Extents* extents = nullptr;  ///< valid while the object is pinned or pending
};

class NodeCore {
 public:
  enum class PutStart : std::uint8_t {
    kAllocated,  ///< fill the extents, then commit_put() or abort_put()
    kExists,     ///< committed already: nothing to write
    kPending,    ///< another put of this key is under way: ask again when it has ended
    kNoRoom,     ///< everything that is in the way is pinned or pending: ask again when something was released
    kTooLarge,   ///< larger than the pool
  };

  explicit NodeCore(const NodeCoreConfig& config);

  /// Starts a put of `bytes` (at least 1), evicting what is needed and nothing when that does not suffice.
  PutStart begin_put(const Key128& key, std::uint64_t bytes, NodeChanges& changes, ObjectId& id);
  /// Where the bytes of a pending object go.
  [[nodiscard]] const Extents& extents(ObjectId id) const { return at(id).extents; }
  /// Ends a put: the bytes are there and have this checksum.
  void commit_put(ObjectId id, std::uint32_t crc32c, NodeChanges& changes);
  /// Ends a put without an object.
  void abort_put(ObjectId id);

  /// The directory has taken this version: it may be read now. No-op when it has gone meanwhile.
  void confirm(const Key128& key, std::uint64_t version);
  /// True if the key is here, committed and confirmed.
  [[nodiscard]] bool confirmed(const Key128& key) const;
  /// Marks a use and promises that the object stays until unpin(). Nothing when it is not here or not confirmed, or has
  /// kPinsMax pins.
  std::optional<ObjectView> pin(const Key128& key);
  void unpin(ObjectId id);

  /// Forgets an object: its bytes are damaged, or the directory refused it. Readers keep their pins. With `version`
  /// only that one. No-op when it is not here or still pending.
  void drop(const Key128& key, std::optional<std::uint64_t> version, NodeChanges& changes);

  /// Evicts up to `objects_max` objects and stops at the high watermark. @return true if it should be called again.
  bool reclaim(std::size_t objects_max, NodeChanges& changes);
  [[nodiscard]] bool above_watermark() const { return used_pages() > watermark_pages_; }

  /// Every committed object, as kStored changes: the block report. Confirmed ones first, so that they win over copies
  /// that no directory has seen. O(objects).
  [[nodiscard]] NodeChanges report() const;

  [[nodiscard]] std::size_t objects() const { return index_.size(); }
  [[nodiscard]] std::uint64_t bytes_used() const { return std::uint64_t{used_pages()} * slabs_.page_bytes(); }
  [[nodiscard]] std::uint64_t bytes_capacity() const {
    return std::uint64_t{slabs_.page_count()} * slabs_.page_bytes();
  }
  [[nodiscard]] std::uint64_t evictions() const { return evictions_; }

 private:
  enum class State : std::uint8_t { kFree, kPending, kCommitted, kDropped };
  struct Object {
    Key128 key;
    std::uint64_t bytes = 0;
    std::uint64_t version = 0;
    std::uint32_t crc32c = 0;
    std::uint32_t pins = 0;
    State state = State::kFree;
    bool confirmed = false;
    Extents extents;
  };

  [[nodiscard]] Object& at(ObjectId id);
  [[nodiscard]] const Object& at(ObjectId id) const;
  [[nodiscard]] std::uint32_t used_pages() const { return slabs_.page_count() - slabs_.free_pages(); }
  void use(ObjectId id);
  bool make_room(std::uint64_t bytes, NodeChanges& changes);
  [[nodiscard]] bool page_can_be_emptied(const Object& object) const;
  void evict_page_of(ObjectId victim, NodeChanges& changes);
  void evict(ObjectId victim, NodeChanges& changes);
  ObjectId new_object();
  void free_object(ObjectId id);

  const std::uint32_t watermark_pages_;
  SlabAllocator slabs_;
  const std::unique_ptr<EvictionPolicy> policy_;  // of all that is committed, pinned or not
  std::vector<Object> objects_;
  std::vector<ObjectId> free_ids_;
  absl::flat_hash_map<Key128, ObjectId> index_;  // pending and committed
  std::uint64_t versions_ = 0;
  std::uint64_t evictions_ = 0;
};

}  // namespace mooncake::store
