#include "transfer/rdma/endpoint_pool.h"

#include "base/check.h"

namespace mooncake::transfer {

void EndpointPool::add(std::uint64_t id) {
  CHECK(!full() && id != 0 && !places_.contains(id));
  entries_.push_front({.id = id});
  places_[id] = entries_.begin();
}

void EndpointPool::use(std::uint64_t id) {
  const auto place = places_.find(id);
  if (place != places_.end()) place->second->used = true;
}

void EndpointPool::remove(std::uint64_t id) {
  const auto place = places_.find(id);
  if (place == places_.end()) return;
  if (hand_ == place->second) hand_ = hand_ == entries_.begin() ? entries_.end() : std::prev(hand_);
  entries_.erase(place->second);
  places_.erase(place);
}

std::uint64_t EndpointPool::victim(const std::function<bool(std::uint64_t)>& idle) {
  // Two rounds: the first may only take marks away.
  for (std::size_t step = 0; step < 2 * entries_.size(); ++step) {
    if (hand_ == entries_.end()) hand_ = std::prev(entries_.end());
    Entry& entry = *hand_;
    const bool stays = entry.used || !idle(entry.id);
    entry.used = false;
    if (!stays) return entry.id;
    hand_ = hand_ == entries_.begin() ? entries_.end() : std::prev(hand_);
  }
  return 0;
}

}  // namespace mooncake::transfer
