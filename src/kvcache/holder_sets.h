// HolderSets: sets of holders, each kept once however many blocks have it. The blocks of a prompt are stored and
// evicted together, so a million blocks have a few hundred different sets; each block then pays four bytes for a SetId.
//
// Sets are counted: each block that has a set is one user, and a set without users is forgotten and its id given to
// another. The empty set is kNobody and always there. Ids depend only on the order of calls.
//
// Thread-compatible. About 60 bytes a set of up to six holders.
#pragma once

#include <absl/container/flat_hash_set.h>
#include <absl/container/inlined_vector.h>

#include <cstdint>
#include <span>
#include <vector>

#include "kvcache/prefetch.h"

namespace mooncake::kvcache {

using HolderId = std::uint32_t;
using SetId = std::uint32_t;

class HolderSets {
 public:
  /// The set without members.
  static constexpr SetId kNobody = 0;

  HolderSets();
  HolderSets(const HolderSets&) = delete;  // its hash functions point to it
  HolderSets& operator=(const HolderSets&) = delete;

  /// The set's members, ascending. Valid until the next change.
  [[nodiscard]] std::span<const HolderId> members(SetId set) const { return sets_[set].members; }
  /// Starts to load a set into the CPU's cache.
  void prefetch(SetId set) const { prefetch_line(&sets_[set]); }
  /// O(log members).
  [[nodiscard]] bool contains(SetId set, HolderId holder) const;

  /// One user of `set` turns to the set that has `holder` too. O(members); O(1) if the last call was the same.
  /// @return that set: `set` itself if `holder` is in it already.
  SetId add(SetId set, HolderId holder);
  /// One user of `set` turns to the set without `holder`. Likewise.
  SetId remove(SetId set, HolderId holder);

  /// Sets that have users. O(1).
  [[nodiscard]] std::size_t size() const { return ids_.size(); }

 private:
  using Members = absl::InlinedVector<HolderId, 6>;
  struct Set {
    Members members;
    std::uint64_t hash = 0;  // of the members, in any order: so it can be updated
    std::uint64_t users = 0;
  };
  struct Wanted {
    const Members& members;
    std::uint64_t hash;
  };
  // Hash and equality look behind the id.
  struct Hash {
    using is_transparent = void;
    const std::vector<Set>* sets;
    std::size_t operator()(SetId id) const { return (*sets)[id].hash; }
    std::size_t operator()(const Wanted& wanted) const { return wanted.hash; }
  };
  struct Equal {
    using is_transparent = void;
    const std::vector<Set>* sets;
    bool operator()(SetId a, SetId b) const { return a == b; }
    bool operator()(SetId a, const Wanted& b) const { return (*sets)[a].members == b.members; }
    bool operator()(const Wanted& a, SetId b) const { return a.members == (*sets)[b].members; }
  };
  // What the last call of its kind did: the blocks of a prompt ask for the same again and again.
  struct Step {
    SetId from = kNobody;
    HolderId holder = 0;
    SetId to = kNobody;
    bool valid = false;

    [[nodiscard]] bool is(SetId set, HolderId who) const { return valid && from == set && holder == who; }
  };

  /// The set of scratch_'s members, new or old.
  SetId intern(std::uint64_t hash);
  SetId take(const Step& step);
  void release(SetId set);

  std::vector<Set> sets_;
  std::vector<SetId> free_;
  absl::flat_hash_set<SetId, Hash, Equal> ids_;
  Members scratch_;
  Step last_add_;
  Step last_remove_;
};

}  // namespace mooncake::kvcache
