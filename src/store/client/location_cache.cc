#include "store/client/location_cache.h"

#include <algorithm>
#include <utility>

namespace mooncake::store {

LocationCache::LocationCache(std::size_t entries_max) : entries_max_(entries_max) {}

void LocationCache::set(const ObjectKey& key, std::vector<Location> locations) {
  if (const auto found = index_.find(key); found != index_.end()) {
    if (locations.empty()) return erase(found->second);
    entries_[found->second].locations = std::move(locations);
    return lru_.touch(found->second);
  }
  if (locations.empty() || entries_max_ == 0) return;
  if (index_.size() == entries_max_) erase(*lru_.oldest());
  if (free_.empty()) {
    free_.push_back(static_cast<LruList::Id>(entries_.size()));
    entries_.emplace_back();
  }
  const LruList::Id id = free_.back();
  free_.pop_back();
  entries_[id] = {key, std::move(locations)};
  index_.emplace(key, id);
  lru_.push_newest(id);
}

void LocationCache::add(const ObjectKey& key, const Location& location) {
  std::vector<Location> locations = find(key);
  const bool known = std::ranges::find(locations, location.endpoint, &Location::endpoint) != locations.end();
  if (!known) locations.push_back(location);
  set(key, std::move(locations));
}

void LocationCache::forget(const ObjectKey& key, const std::string& endpoint) {
  const auto found = index_.find(key);
  if (found == index_.end()) return;
  std::vector<Location>& locations = entries_[found->second].locations;
  std::erase_if(locations, [&](const Location& location) { return location.endpoint == endpoint; });
  if (locations.empty()) erase(found->second);
}

std::vector<Location> LocationCache::find(const ObjectKey& key) {
  const auto found = index_.find(key);
  if (found == index_.end()) return {};
  lru_.touch(found->second);
  return entries_[found->second].locations;
}

void LocationCache::erase(LruList::Id id) {
  lru_.remove(id);
  index_.erase(entries_[id].key);
  entries_[id] = {};
  free_.push_back(id);
}

}  // namespace mooncake::store
