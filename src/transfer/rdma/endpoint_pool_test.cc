#include "transfer/rdma/endpoint_pool.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <vector>

#include "base/rng.h"

namespace mooncake::transfer {
namespace {

const auto kAllIdle = [](std::uint64_t) { return true; };

/// Takes the victim out, as its owner does.
std::uint64_t evict(EndpointPool& pool, const std::function<bool(std::uint64_t)>& idle = kAllIdle) {
  const std::uint64_t id = pool.victim(idle);
  pool.remove(id);
  return id;
}

TEST(EndpointPool, OldestUnusedGoesFirst) {
  EndpointPool pool(3);
  for (const std::uint64_t id : {1, 2, 3}) pool.add(id);
  EXPECT_TRUE(pool.full());
  EXPECT_EQ(evict(pool), 1u);
  EXPECT_FALSE(pool.full());
  EXPECT_EQ(evict(pool), 2u);
}

TEST(EndpointPool, UsedOneStaysForARoundAndIsNotMoved) {
  EndpointPool pool(4);
  for (const std::uint64_t id : {1, 2, 3, 4}) pool.add(id);
  pool.use(1);
  pool.use(3);
  EXPECT_EQ(evict(pool), 2u);  // 1 was spared, and lost its mark
  pool.add(5);
  EXPECT_EQ(evict(pool), 4u);  // the hand goes on behind 2: 3 is spared
  EXPECT_EQ(evict(pool), 5u);
  EXPECT_EQ(evict(pool), 1u);
}

TEST(EndpointPool, BusyOnesAreNeverVictims) {
  EndpointPool pool(3);
  for (const std::uint64_t id : {1, 2, 3}) pool.add(id);
  EXPECT_EQ(evict(pool, [](std::uint64_t id) { return id == 3; }), 3u);
  EXPECT_EQ(evict(pool, [](std::uint64_t) { return false; }), 0u);
  EXPECT_EQ(pool.size(), 2u);
}

TEST(EndpointPool, EmptyPoolHasNoVictimAndUnknownIdsAreIgnored) {
  EndpointPool pool(1);
  EXPECT_EQ(pool.victim(kAllIdle), 0u);
  pool.use(9);
  pool.remove(9);
  pool.add(1);
  EXPECT_EQ(pool.victim(kAllIdle), 1u);
}

/// SIEVE as the paper states it, on a plain vector, oldest first.
class Twin {
 public:
  void add(std::uint64_t id) { entries_.emplace_back(id, false); }
  void use(std::uint64_t id) {
    for (auto& [each, used] : entries_) used = used || each == id;
  }
  void remove(std::uint64_t id) {
    const auto found = std::ranges::find_if(entries_, [id](const auto& entry) { return entry.first == id; });
    if (found == entries_.end()) return;
    const auto at = static_cast<std::size_t>(found - entries_.begin());
    entries_.erase(found);
    if (hand_ > at) --hand_;
    if (hand_ >= entries_.size()) hand_ = 0;
  }
  std::uint64_t victim(const std::set<std::uint64_t>& busy) {
    for (std::size_t step = 0; step < 2 * entries_.size(); ++step) {
      auto& [id, used] = entries_[hand_];
      const bool stays = used || busy.contains(id);
      used = false;
      if (!stays) return id;
      hand_ = (hand_ + 1) % entries_.size();
    }
    return 0;
  }

 private:
  std::vector<std::pair<std::uint64_t, bool>> entries_;
  std::size_t hand_ = 0;
};

TEST(EndpointPool, ChoosesAsThePaperDoes) {
  Rng rng(20'24);
  EndpointPool pool(16);
  Twin twin;
  std::set<std::uint64_t> busy;
  std::uint64_t last = 0;
  for (int step = 0; step < 20'000; ++step) {
    const std::uint64_t some = last == 0 ? 1 : 1 + rng.next() % last;
    switch (rng.next() % 8) {
      case 0:
        pool.remove(some);
        twin.remove(some);
        break;
      case 1:
        if (!busy.insert(some).second) busy.erase(some);
        break;
      case 2:
      case 3: {
        if (pool.full()) {
          const std::uint64_t victim = pool.victim([&](std::uint64_t id) { return !busy.contains(id); });
          ASSERT_EQ(victim, twin.victim(busy)) << step;
          pool.remove(victim);
          twin.remove(victim);
          if (victim == 0) break;
        }
        pool.add(++last);
        twin.add(last);
        break;
      }
      default: {
        const std::uint64_t recent = last - std::min<std::uint64_t>(last, rng.next() % 20);
        pool.use(recent);
        twin.use(recent);
      }
    }
  }
}

}  // namespace
}  // namespace mooncake::transfer
