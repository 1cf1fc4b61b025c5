#include "serve/worker/publication.h"

#include <algorithm>
#include <utility>

#include "base/log.h"

namespace mooncake::serve {

std::shared_ptr<Publication> Publication::create(const WorkerContext& context, std::uint32_t block_count,
                                                 std::function<void()> changed) {
  return std::shared_ptr<Publication>(new Publication(context, block_count, std::move(changed)));
}

Publication::Publication(const WorkerContext& context, std::uint32_t block_count, std::function<void()> changed)
    : context_(context), changed_(std::move(changed)), stored_(block_count) {}

void Publication::put(std::uint32_t first, const std::vector<store::ObjectKey>& keys,
                      const std::vector<std::uint32_t>& crc32c, const Arena::LeasePointer& lease) {
  CHECK(keys.size() == crc32c.size() && first + keys.size() <= stored_.size());
  if (context_.store == nullptr || keys.empty()) return;
  std::vector<store::PutItem> items;
  items.reserve(keys.size());
  for (std::uint32_t i = 0; i < keys.size(); ++i) {
    items.push_back({keys[i], context_.block(*lease, first + i), crc32c[i]});
  }
  ++puts_in_flight_;
  context_.store->put(std::move(items), context_.now() + kPublishTimeout,
                      [weak = weak_from_this(), lease, first](const std::vector<Status>& outcomes) {
                        if (const auto self = weak.lock()) self->on_put(first, outcomes);
                      });
}

void Publication::on_put(std::uint32_t first, const std::vector<Status>& outcomes) {
  --puts_in_flight_;
  for (std::size_t i = 0; i < outcomes.size() && first + i < stored_.size(); ++i) {
    if (outcomes[i].ok()) {
      stored_[first + i] = true;
      context_.metrics.blocks_published.Increment();
    } else {
      context_.metrics.blocks_unpublished.Increment();
      log_debug("block not published: {}", outcomes[i].to_string());
    }
  }
  if (changed_) changed_();
}

std::uint32_t Publication::leading_stored() const {
  return static_cast<std::uint32_t>(std::find(stored_.begin(), stored_.end(), false) - stored_.begin());
}

}  // namespace mooncake::serve
