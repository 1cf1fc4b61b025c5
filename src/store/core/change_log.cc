#include "store/core/change_log.h"

#include <algorithm>

namespace mooncake::store {

void ChangeLog::append(const DirectoryChange& change) {
  changes_.push_back(change);
  if (changes_.size() <= changes_max_) return;
  changes_.pop_front();
  ++first_;
}

std::optional<std::vector<DirectoryChange>> ChangeLog::read(std::uint64_t after, std::size_t changes_max) const {
  if (after > last() || after + 1 < first_) return std::nullopt;
  const auto begin = changes_.begin() + static_cast<std::ptrdiff_t>(after + 1 - first_);
  const auto count = std::min<std::size_t>(changes_max, static_cast<std::size_t>(changes_.end() - begin));
  return std::vector<DirectoryChange>(begin, begin + static_cast<std::ptrdiff_t>(count));
}

}  // namespace mooncake::store
