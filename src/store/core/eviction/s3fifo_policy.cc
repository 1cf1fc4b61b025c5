#include "store/core/eviction/s3fifo_policy.h"

#include <algorithm>

namespace mooncake::store {
namespace {

constexpr std::uint8_t kUsesMax = 3;     // two bits in the paper
constexpr std::uint8_t kUsesToStay = 2;  // more than one use since it came
constexpr std::size_t kSmallShare = 10;  // the small queue is one tenth

}  // namespace

void S3FifoPolicy::insert(Id id, const Use& use) {
  if (id >= objects_.size()) objects_.resize(std::size_t{id} + 1);
  objects_[id] = {.key = use.key, .uses = 0};
  (recall(use.key) ? main_ : small_).push_newest(id);
}

void S3FifoPolicy::touch(Id id, const Use&) {
  Object& object = objects_.at(id);
  object.uses = std::min<std::uint8_t>(object.uses + 1, kUsesMax);
}

void S3FifoPolicy::remove(Id id) { (small_.contains(id) ? small_ : main_).remove(id); }

std::optional<EvictionPolicy::Id> S3FifoPolicy::evict(absl::FunctionRef<bool(Id)> may_go) {
  const bool small_is_full = small_.size() * kSmallShare >= size();
  if (!small_is_full) {
    if (const auto victim = evict_from_main(may_go)) return victim;
  }
  if (const auto victim = evict_from_small(may_go)) return victim;
  return evict_from_main(may_go);  // last: whoever stays when the small queue is looked through goes there
}

std::optional<EvictionPolicy::Id> S3FifoPolicy::evict_from_small(absl::FunctionRef<bool(Id)> may_go) {
  std::optional<Id> next = small_.oldest();
  while (next) {
    const Id here = *next;
    next = small_.newer(here);
    if (!may_go(here)) continue;
    small_.remove(here);
    if (objects_[here].uses >= kUsesToStay) {
      objects_[here].uses = 0;
      main_.push_newest(here);
      continue;
    }
    remember(objects_[here].key);
    return here;
  }
  return std::nullopt;
}

std::optional<EvictionPolicy::Id> S3FifoPolicy::evict_from_main(absl::FunctionRef<bool(Id)> may_go) {
  std::optional<Id> next = main_.oldest();
  // Each round costs an object a use, so after the fourth somebody goes unless nobody may.
  for (std::size_t step = 0; next && step < (kUsesMax + 1) * main_.size() + 1; ++step) {
    const Id here = *next;
    next = main_.newer(here);
    if (may_go(here)) {
      if (objects_[here].uses == 0) {
        main_.remove(here);
        return here;
      }
      --objects_[here].uses;
      main_.touch(here);
    }
    if (!next) next = main_.oldest();
  }
  return std::nullopt;
}

void S3FifoPolicy::remember(std::uint64_t key) {
  ghost_stamps_[key] = ++stamps_;
  ghosts_.emplace_back(key, stamps_);
  while (ghosts_.size() > std::max<std::size_t>(main_.size(), 1)) {
    const auto [oldest, stamp] = ghosts_.front();
    ghosts_.pop_front();
    if (const auto found = ghost_stamps_.find(oldest); found != ghost_stamps_.end() && found->second == stamp) {
      ghost_stamps_.erase(found);
    }
  }
}

bool S3FifoPolicy::recall(std::uint64_t key) { return ghost_stamps_.erase(key) == 1; }

}  // namespace mooncake::store
