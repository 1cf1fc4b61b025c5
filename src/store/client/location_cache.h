// LocationCache: where objects were seen last, for the keys used most recently. It may be wrong at any time: whoever
// asks a node that does not hold the key (any more) forgets that location and asks the directory.
//
// Pure. Thread-compatible. O(1) an operation.
#pragma once

#include <absl/container/flat_hash_map.h>

#include <cstdint>
#include <string>
#include <vector>

#include "base/key128.h"
#include "store/client/store_client.h"
#include "store/core/lru_list.h"

namespace mooncake::store {

class LocationCache {
 public:
  explicit LocationCache(std::size_t entries_max);

  /// Replaces what is known of `key`; an empty list forgets it.
  void set(const ObjectKey& key, std::vector<Location> locations);
  /// One more place.
  void add(const ObjectKey& key, const Location& location);
  /// One place less.
  void forget(const ObjectKey& key, const std::string& endpoint);
  /// What is known of `key`, and marks a use. Empty: nothing.
  [[nodiscard]] std::vector<Location> find(const ObjectKey& key);
  [[nodiscard]] std::size_t size() const { return index_.size(); }

 private:
  struct Entry {
    ObjectKey key;
    std::vector<Location> locations;
  };
  void erase(LruList::Id id);

  const std::size_t entries_max_;
  absl::flat_hash_map<ObjectKey, LruList::Id> index_;
  std::vector<Entry> entries_;
  std::vector<LruList::Id> free_;
  LruList lru_;
};

}  // namespace mooncake::store
