#include "store/core/node_core.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <string>
#include <tuple>

#include "base/rng.h"

namespace mooncake::store {
namespace {

constexpr std::uint32_t kPage = 1024;

Key128 key(std::uint64_t number) { return {splitmix64(number), splitmix64(number + 1'000'000)}; }

/// A core with its changes collected, and puts in one step.
struct Node {
  explicit Node(std::uint32_t pages, double watermark = 1.0, std::string_view eviction = kDefaultEviction)
      : core({.pool_bytes = std::uint64_t{pages} * kPage,
              .page_bytes = kPage,
              .high_watermark = watermark,
              .eviction = eviction}) {}

  NodeCore::PutStart put(std::uint64_t number, std::uint64_t bytes) {
    ObjectId id = 0;
    const NodeCore::PutStart start = core.begin_put(key(number), bytes, changes, id);
    if (start != NodeCore::PutStart::kAllocated) return start;
    core.commit_put(id, static_cast<std::uint32_t>(number), changes);
    core.confirm(key(number), changes.back().version);
    return start;
  }
  bool has(std::uint64_t number) const { return core.confirmed(key(number)); }

  NodeCore core;
  NodeChanges changes;
};

/// What holds whoever names the victims.
class NodeCoreUnder : public testing::TestWithParam<std::string_view> {
 protected:
  static Node node_of(std::uint32_t pages, double watermark = 1.0) { return Node(pages, watermark, GetParam()); }
};
INSTANTIATE_TEST_SUITE_P(Policies, NodeCoreUnder, testing::ValuesIn(node_eviction_names()),
                         [](const auto& param) { return std::string(param.param); });

TEST(NodeCore, PutOfAnExistingKeyWritesNothing) {
  Node node(4);
  EXPECT_EQ(node.put(1, kPage), NodeCore::PutStart::kAllocated);
  EXPECT_EQ(node.put(1, kPage), NodeCore::PutStart::kExists);
  EXPECT_EQ(node.changes.size(), 1u);
}

TEST(NodeCore, SecondPutOfAPendingKeyWaits) {
  Node node(4);
  ObjectId first = 0;
  ObjectId second = 0;
  ASSERT_EQ(node.core.begin_put(key(1), 10, node.changes, first), NodeCore::PutStart::kAllocated);
  EXPECT_EQ(node.core.begin_put(key(1), 10, node.changes, second), NodeCore::PutStart::kPending);
  node.core.abort_put(first);
  EXPECT_EQ(node.core.begin_put(key(1), 10, node.changes, second), NodeCore::PutStart::kAllocated);
}

TEST(NodeCore, ServesNothingBeforeTheDirectoryTookIt) {
  Node node(4);
  ObjectId id = 0;
  ASSERT_EQ(node.core.begin_put(key(1), 10, node.changes, id), NodeCore::PutStart::kAllocated);
  EXPECT_FALSE(node.core.pin(key(1)));
  node.core.commit_put(id, 5, node.changes);
  EXPECT_FALSE(node.core.pin(key(1)));
  node.core.confirm(key(1), node.changes.back().version + 1);
  EXPECT_FALSE(node.core.pin(key(1))) << "another version was confirmed";
  node.core.confirm(key(1), node.changes.back().version);
  const auto view = node.core.pin(key(1));
  ASSERT_TRUE(view);
  EXPECT_EQ(view->bytes, 10u);
  EXPECT_EQ(view->crc32c, 5u);
}

TEST_P(NodeCoreUnder, EvictsExactlyWhatAPutNeeds) {
  Node node = node_of(8);
  for (std::uint64_t n = 0; n < 4; ++n) ASSERT_EQ(node.put(n, 2 * kPage), NodeCore::PutStart::kAllocated);
  ASSERT_EQ(node.put(9, kPage), NodeCore::PutStart::kAllocated);
  EXPECT_EQ(node.core.evictions(), 1u);
  ASSERT_EQ(node.put(10, kPage), NodeCore::PutStart::kAllocated) << "into the page that is left over";
  EXPECT_EQ(node.core.evictions(), 1u);
}

TEST(NodeCore, ByDefaultTheLeastRecentlyUsedGoesAndAPinIsAUse) {
  Node node(3);
  for (std::uint64_t n = 0; n < 3; ++n) node.put(n, kPage);
  const ObjectId pin = node.core.pin(key(0))->id;
  node.put(1, kPage);  // it is there: a use
  node.core.unpin(pin);
  node.put(3, kPage);
  EXPECT_FALSE(node.has(2));
  node.put(4, kPage);
  EXPECT_FALSE(node.has(0)) << "a read counts when it begins, and 1 was used after that";
  EXPECT_TRUE(node.has(1));
}

TEST_P(NodeCoreUnder, PublishesEvictionsBeforeWhatTakesTheirPlace) {
  Node node = node_of(1);
  node.put(1, kPage);
  node.put(2, kPage);
  ASSERT_EQ(node.changes.size(), 3u);
  EXPECT_EQ(node.changes[1].kind, NodeChange::Kind::kRemoved);
  EXPECT_EQ(node.changes[1].key, key(1));
  EXPECT_EQ(node.changes[2].key, key(2));
}

TEST_P(NodeCoreUnder, PinnedObjectsStayAndAPutFailsOnlyWhenEverythingIsPinned) {
  Node node = node_of(4);
  std::vector<ObjectId> pins;
  for (std::uint64_t n = 0; n < 4; ++n) node.put(n, kPage);
  for (std::uint64_t n = 0; n < 3; ++n) pins.push_back(node.core.pin(key(n))->id);
  EXPECT_EQ(node.put(10, 2 * kPage), NodeCore::PutStart::kNoRoom);
  EXPECT_TRUE(node.has(3)) << "a put that cannot succeed evicts nothing";
  EXPECT_EQ(node.put(11, kPage), NodeCore::PutStart::kAllocated);
  EXPECT_FALSE(node.has(3));
  ASSERT_EQ(node.core.pin(key(11))->bytes, kPage);
  EXPECT_EQ(node.put(12, 1), NodeCore::PutStart::kNoRoom);
  node.core.unpin(pins[1]);
  EXPECT_EQ(node.put(12, 1), NodeCore::PutStart::kAllocated);
  EXPECT_TRUE(node.has(0) && node.has(2));
  EXPECT_FALSE(node.has(1));
}

TEST_P(NodeCoreUnder, PutsInProgressStay) {
  Node node = node_of(2);
  ObjectId first = 0;
  ObjectId second = 0;
  ASSERT_EQ(node.core.begin_put(key(1), kPage, node.changes, first), NodeCore::PutStart::kAllocated);
  ASSERT_EQ(node.core.begin_put(key(2), kPage, node.changes, second), NodeCore::PutStart::kAllocated);
  EXPECT_EQ(node.put(3, kPage), NodeCore::PutStart::kNoRoom);
  node.core.commit_put(second, 0, node.changes);
  EXPECT_EQ(node.put(3, kPage), NodeCore::PutStart::kAllocated);
  EXPECT_EQ(node.changes[1], (NodeChange{NodeChange::Kind::kRemoved, key(2), 0, 2}));
  node.core.commit_put(first, 0, node.changes);
}

TEST_P(NodeCoreUnder, APoolFullOfOneSizeTakesAnother) {
  Node node = node_of(4);
  for (std::uint64_t n = 0; n < 64; ++n) ASSERT_EQ(node.put(n, 64), NodeCore::PutStart::kAllocated);
  EXPECT_EQ(node.core.evictions(), 0u);
  ASSERT_EQ(node.put(100, 256), NodeCore::PutStart::kAllocated);
  EXPECT_EQ(node.core.evictions(), 16u) << "one page of the old size";
  ASSERT_EQ(node.put(101, 3 * kPage), NodeCore::PutStart::kAllocated);
  ASSERT_EQ(node.put(102, 64), NodeCore::PutStart::kAllocated);
  EXPECT_EQ(node.put(103, 5 * kPage), NodeCore::PutStart::kTooLarge);
}

TEST_P(NodeCoreUnder, AHeldSlabPageIsLeftAndTheNextOneTaken) {
  Node node = node_of(2);
  for (std::uint64_t n = 0; n < 32; ++n) node.put(n, 64);
  const ObjectId pin = node.core.pin(key(3))->id;  // in the older page
  ASSERT_EQ(node.put(100, 256), NodeCore::PutStart::kAllocated);
  EXPECT_TRUE(node.has(0) && node.has(3));
  EXPECT_FALSE(node.has(16) || node.has(31));
  node.core.unpin(pin);
}

TEST_P(NodeCoreUnder, ADroppedObjectLivesUntilItsLastReaderIsDone) {
  Node node = node_of(1);
  node.put(1, kPage);
  const ObjectId pin = node.core.pin(key(1))->id;
  node.core.drop(key(1), std::nullopt, node.changes);
  EXPECT_FALSE(node.core.pin(key(1)));
  EXPECT_EQ(node.put(1, kPage), NodeCore::PutStart::kNoRoom);
  node.core.unpin(pin);
  EXPECT_EQ(node.put(1, kPage), NodeCore::PutStart::kAllocated);
}

TEST_P(NodeCoreUnder, DropOfAnOldVersionLeavesTheNewOne) {
  Node node = node_of(1);
  node.put(1, kPage);
  const std::uint64_t old_version = node.changes.back().version;
  node.put(2, kPage);
  node.put(1, kPage);
  node.core.drop(key(1), old_version, node.changes);
  EXPECT_TRUE(node.has(1));
}

TEST_P(NodeCoreUnder, BackgroundReclaimStopsAtTheWatermark) {
  Node node = node_of(10, 0.8);
  for (std::uint64_t n = 0; n < 10; ++n) node.put(n, kPage);
  EXPECT_TRUE(node.core.above_watermark());
  EXPECT_TRUE(node.core.reclaim(1, node.changes)) << "more to do";
  EXPECT_FALSE(node.core.reclaim(100, node.changes));
  EXPECT_EQ(node.core.objects(), 8u);
  EXPECT_FALSE(node.has(0) || node.has(1));
}

TEST(NodeCore, ReportTellsAllThatIsCommittedConfirmedFirst) {
  Node node(4);
  ObjectId id = 0;
  ASSERT_EQ(node.core.begin_put(key(1), 10, node.changes, id), NodeCore::PutStart::kAllocated);
  node.core.commit_put(id, 1, node.changes);
  node.put(2, 10);
  ASSERT_EQ(node.core.begin_put(key(3), 10, node.changes, id), NodeCore::PutStart::kAllocated);
  const NodeChanges report = node.core.report();
  ASSERT_EQ(report.size(), 2u);
  EXPECT_EQ(report[0].key, key(2));
  EXPECT_EQ(report[1].key, key(1));
}

// Drives a core with random commands beside a twin that knows only the laws: what is pinned or pending stays where it
// is, no two live objects share a byte, a put fails only for pins and other puts, and the changes add up to what is
// held.
class NodeCoreLaws : public testing::TestWithParam<std::tuple<std::uint64_t, std::string_view>> {};

TEST_P(NodeCoreLaws, HoldOnRandomTraffic) {
  constexpr std::uint32_t kPages = 24;
  constexpr std::uint64_t kSizes[] = {64, 200, 500, 1024, 1500, 4000};
  const auto [seed, eviction] = GetParam();
  Rng rng(seed);
  NodeChanges changes;
  NodeCore core({.pool_bytes = kPages * kPage, .page_bytes = kPage, .high_watermark = 0.9, .eviction = eviction});
  std::vector<std::uint64_t> owner(std::size_t{kPages} * kPage, 0);  // twin of the pool: 1 + key number
  std::map<std::uint64_t, Extents> stored;                           // by key number, committed or pending
  std::map<Key128, std::uint64_t> number_of;
  std::map<ObjectId, std::uint64_t> pending;
  std::vector<std::pair<ObjectId, std::uint64_t>> pins;
  std::map<std::uint64_t, int> pin_count;
  std::map<Key128, std::uint64_t> published;
  const auto paint = [&](const Extents& extents, std::uint64_t from, std::uint64_t to) {
    for (const Extent& extent : extents) {
      for (std::uint64_t at = extent.offset; at < extent.offset + extent.bytes; ++at) {
        ASSERT_EQ(owner.at(at), from);
        owner[at] = to;
      }
    }
  };
  const auto apply_changes = [&] {
    for (const NodeChange& change : changes) {
      const std::uint64_t n = number_of.at(change.key);
      if (change.kind == NodeChange::Kind::kStored) {
        ASSERT_TRUE(published.emplace(change.key, change.version).second);
        core.confirm(change.key, change.version);
        continue;
      }
      ASSERT_EQ(published.at(change.key), change.version);
      published.erase(change.key);
      ASSERT_EQ(pin_count[n], 0) << "a pinned object was evicted";
      paint(stored.at(n), n + 1, 0);
      stored.erase(n);
    }
    changes.clear();
  };
  for (int step = 0; step < 20'000; ++step) {
    const std::uint64_t n = rng.below(120);
    number_of[key(n)] = n;
    const std::uint64_t size = kSizes[n % std::size(kSizes)];
    switch (rng.below(8)) {
      case 0:
      case 1:
      case 2: {
        ObjectId id = 0;
        const std::size_t before = core.objects();
        const NodeCore::PutStart start = core.begin_put(key(n), size, changes, id);
        if (start == NodeCore::PutStart::kNoRoom) {
          ASSERT_TRUE(changes.empty()) << "evicted for nothing";
          ASSERT_FALSE(pins.empty() && pending.empty()) << "failed with nothing pinned";
          ASSERT_EQ(core.objects(), before);
        }
        apply_changes();
        if (start != NodeCore::PutStart::kAllocated) break;
        ASSERT_FALSE(stored.contains(n));
        stored[n] = core.extents(id);
        paint(stored[n], 0, n + 1);
        pending[id] = n;
        break;
      }
      case 3:
      case 4: {
        if (pending.empty()) break;
        const auto [id, pending_n] = *pending.begin();
        pending.erase(pending.begin());
        if (rng.below(4) == 0) {
          core.abort_put(id);
          paint(stored.at(pending_n), pending_n + 1, 0);
          stored.erase(pending_n);
        } else {
          core.commit_put(id, static_cast<std::uint32_t>(pending_n), changes);
          apply_changes();
        }
        break;
      }
      case 5: {
        const auto view = core.pin(key(n));
        ASSERT_EQ(view.has_value(), published.contains(key(n)));
        if (!view) break;
        ASSERT_EQ(view->crc32c, n);
        ASSERT_EQ(view->bytes, size);
        ASSERT_EQ(*view->extents, stored.at(n)) << "a committed object moved";
        pins.emplace_back(view->id, n);
        ++pin_count[n];
        break;
      }
      case 6: {
        if (pins.empty()) break;
        const std::size_t pick = rng.below(pins.size());
        core.unpin(pins[pick].first);
        --pin_count[pins[pick].second];
        pins[pick] = pins.back();
        pins.pop_back();
        break;
      }
      default:
        if (rng.below(20) == 0) core.reclaim(rng.below(8), changes);
        apply_changes();
    }
    if (HasFatalFailure()) return;
    ASSERT_EQ(core.objects(), stored.size());
    ASSERT_EQ(core.report().size(), published.size());
  }
  EXPECT_GT(core.evictions(), 100u);
}

INSTANTIATE_TEST_SUITE_P(Seeds, NodeCoreLaws,
                         testing::Combine(testing::Range<std::uint64_t>(1, 4),
                                          testing::ValuesIn(node_eviction_names())),
                         [](const auto& param) {
                           return std::string(std::get<1>(param.param)) + std::to_string(std::get<0>(param.param));
                         });

TEST_P(NodeCoreUnder, EvictsWhomThePolicyNames) {
  constexpr std::size_t kObjects = 16;
  const auto policy = make_eviction_policy(GetParam()).value();
  Rng rng(11);
  Node node = node_of(kObjects);
  std::map<std::uint64_t, EvictionPolicy::Id> held;
  for (std::uint64_t step = 0; step < 5'000; ++step) {
    const std::uint64_t n = rng.below(rng.below(60) + 1);
    const EvictionPolicy::Use use{.key = key(n).low};
    if (const auto at = held.find(n); at != held.end()) {
      policy->touch(at->second, use);
    } else {
      auto id = static_cast<EvictionPolicy::Id>(held.size());
      if (held.size() == kObjects) {
        id = policy->evict([](EvictionPolicy::Id) { return true; }).value();
        held.erase(std::ranges::find(held, id, &decltype(held)::value_type::second));
      }
      held[n] = id;
      policy->insert(id, use);
    }
    node.put(n, kPage);
    for (std::uint64_t other = 0; other < 60; ++other) ASSERT_EQ(node.has(other), held.contains(other)) << step;
  }
}

}  // namespace
}  // namespace mooncake::store
