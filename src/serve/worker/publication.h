// Publication: the blocks of one request on their way into the store.
//
// Best effort: a block that cannot be stored costs somebody a recomputation later, never this request. Several puts may
// be under way; the lease that holds the bytes lives as long as any of them.
//
// Thread-compatible: one owner, the loop.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "serve/worker/arena.h"
#include "serve/worker/worker_context.h"

namespace mooncake::serve {

class Publication : public std::enable_shared_from_this<Publication> {
 public:
  /// `changed` runs on the loop after every put that ended.
  static std::shared_ptr<Publication> create(const WorkerContext& context, std::uint32_t block_count,
                                             std::function<void()> changed);

  /// Block `index` is in the store already: it was fetched from there.
  void mark_stored(std::uint32_t index) { stored_.at(index) = true; }
  /// Puts blocks; those of one call travel together. `keys[i]` belongs to block first + i, whose bytes lie in slot
  /// first + i of `lease`.
  void put(std::uint32_t first, const std::vector<store::ObjectKey>& keys, const std::vector<std::uint32_t>& crc32c,
           const Arena::LeasePointer& lease);

  [[nodiscard]] bool idle() const { return puts_in_flight_ == 0; }
  /// Leading blocks that are in the store.
  [[nodiscard]] std::uint32_t leading_stored() const;

 private:
  Publication(const WorkerContext& context, std::uint32_t block_count, std::function<void()> changed);
  void on_put(std::uint32_t first, const std::vector<Status>& outcomes);

  const WorkerContext& context_;
  std::function<void()> changed_;
  std::vector<bool> stored_;
  std::uint32_t puts_in_flight_ = 0;
};

}  // namespace mooncake::serve
