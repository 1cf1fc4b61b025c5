#include "store/core/lru_list.h"

#include "base/check.h"

namespace mooncake::store {
namespace {

constexpr std::uint32_t kHead = 0;
constexpr std::uint32_t kAbsent = UINT32_MAX;

}  // namespace

LruList::LruList() : links_{{kHead, kHead}} {}

void LruList::push_newest(Id id) {
  CHECK(id < kAbsent - 1);
  const std::uint32_t link = id + 1;
  if (link >= links_.size()) links_.resize(link + 1, {kAbsent, kAbsent});
  CHECK(links_[link].older == kAbsent);
  const std::uint32_t newest = links_[kHead].older;
  links_[link] = {newest, kHead};
  links_[newest].newer = link;
  links_[kHead].older = link;
  ++size_;
}

void LruList::remove(Id id) {
  CHECK(contains(id));
  Link& link = links_[id + 1];
  links_[link.older].newer = link.newer;
  links_[link.newer].older = link.older;
  link = {kAbsent, kAbsent};
  --size_;
}

void LruList::touch(Id id) {
  remove(id);
  push_newest(id);
}

bool LruList::contains(Id id) const { return id + 1 < links_.size() && links_[id + 1].older != kAbsent; }

std::optional<LruList::Id> LruList::oldest() const {
  const std::uint32_t link = links_[kHead].newer;
  if (link == kHead) return std::nullopt;
  return link - 1;
}

std::optional<LruList::Id> LruList::newer(Id id) const {
  CHECK(contains(id));
  const std::uint32_t link = links_[id + 1].newer;
  if (link == kHead) return std::nullopt;
  return link - 1;
}

}  // namespace mooncake::store
