// Every policy against a slow, obvious twin: the same uses, the same victims. And laws that hold for all of them.
#include "store/core/eviction/eviction_policy.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/rng.h"

namespace mooncake::store {
namespace {

using Id = EvictionPolicy::Id;

constexpr auto kAnyone = [](Id) { return true; };

std::unique_ptr<EvictionPolicy> policy(std::string_view name) {
  auto made = make_eviction_policy(name);
  EXPECT_TRUE(made.ok());
  return std::move(made).value();
}

/// Plays `keys` through a cache of `capacity` objects. @return the victims' keys.
std::vector<std::uint64_t> victims(std::string_view name, std::size_t capacity, const std::vector<std::uint64_t>& keys,
                                   std::uint32_t (*depth)(std::uint64_t)) {
  const auto chosen = policy(name);
  std::map<std::uint64_t, Id> cached;
  std::vector<std::uint64_t> key_of;
  std::vector<std::uint64_t> gone;
  for (const std::uint64_t key : keys) {
    const EvictionPolicy::Use use{.key = key, .depth = depth(key)};
    if (const auto hit = cached.find(key); hit != cached.end()) {
      chosen->touch(hit->second, use);
      continue;
    }
    Id id = static_cast<Id>(key_of.size());
    if (cached.size() == capacity) {
      id = chosen->evict(kAnyone).value();
      gone.push_back(key_of[id]);
      cached.erase(key_of[id]);
    } else {
      key_of.emplace_back();
    }
    key_of[id] = key;
    cached[key] = id;
    chosen->insert(id, use);
  }
  EXPECT_EQ(chosen->size(), cached.size());
  return gone;
}

/// Uses of 40 keys, small ones far more often.
std::vector<std::uint64_t> skewed_keys(std::uint64_t seed, std::size_t count) {
  Rng rng(seed);
  std::vector<std::uint64_t> keys(count);
  for (std::uint64_t& key : keys) key = rng.below(rng.below(40) + 1);
  return keys;
}

std::uint32_t depth_of(std::uint64_t key) { return static_cast<std::uint32_t>(key % 7); }

/// The twin: everything that was ever cached, and a victim by looking at all of them.
struct Twin {
  struct Object {
    std::size_t came = 0;
    std::size_t last_use = 0;
    std::size_t uses = 0;
    bool marked = false;
  };
  std::string name;
  std::map<std::uint64_t, Object> cached = {};
  std::size_t hand = 0;  // sieve: the arrival at which it stands

  std::uint64_t victim(std::uint32_t (*depth)(std::uint64_t)) {
    if (name == "sieve") return sieve();
    const auto goes_before = [&](const auto& a, const auto& b) {
      const auto rank = [&](const auto& entry) {
        const auto& [key, object] = entry;
        if (name == "lru") return std::tuple{std::size_t{0}, 0L, object.last_use};
        if (name == "fifo") return std::tuple{std::size_t{0}, 0L, object.came};
        return std::tuple{object.uses, name == "lfu" ? 0L : -static_cast<long>(depth(key)), object.last_use};
      };
      return rank(a) < rank(b);
    };
    return std::ranges::min_element(cached, goes_before)->first;
  }
  std::uint64_t sieve() {
    for (;;) {
      auto at = cached.end();
      for (auto it = cached.begin(); it != cached.end(); ++it) {
        if (it->second.came >= hand && (at == cached.end() || it->second.came < at->second.came)) at = it;
      }
      if (at == cached.end()) {
        hand = 0;
        continue;
      }
      const bool newest = std::ranges::none_of(cached, [&](const auto& o) { return o.second.came > at->second.came; });
      hand = newest ? 0 : at->second.came + 1;
      if (!at->second.marked) return at->first;
      at->second.marked = false;
    }
  }
};

class ByTwin : public ::testing::TestWithParam<std::string_view> {};

TEST_P(ByTwin, TheSameVictimsOnRandomUses) {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    const std::vector<std::uint64_t> keys = skewed_keys(seed, 2000);
    const std::size_t capacity = 3 + seed;
    Twin twin{.name = std::string(GetParam())};
    std::vector<std::uint64_t> expected;
    for (std::size_t now = 1; now <= keys.size(); ++now) {
      const std::uint64_t key = keys[now - 1];
      if (const auto hit = twin.cached.find(key); hit != twin.cached.end()) {
        hit->second.last_use = now;
        ++hit->second.uses;
        hit->second.marked = true;
        continue;
      }
      if (twin.cached.size() == capacity) {
        expected.push_back(twin.victim(depth_of));
        twin.cached.erase(expected.back());
      }
      twin.cached[key] = {.came = now, .last_use = now};
    }
    ASSERT_EQ(victims(GetParam(), capacity, keys, depth_of), expected) << "seed " << seed;
  }
}

INSTANTIATE_TEST_SUITE_P(Policies, ByTwin, ::testing::Values("lru", "fifo", "lfu", "length-aware", "sieve"),
                         [](const auto& param) {
                           return param.param == "length-aware" ? "length_aware" : std::string(param.param);
                         });

class EveryPolicy : public ::testing::TestWithParam<std::string_view> {};

TEST_P(EveryPolicy, EvictsNobodyWhoMayNotGoAndInTheEndEverybodyElse) {
  const auto chosen = policy(GetParam());
  Rng rng(7);
  for (Id id = 0; id < 100; ++id) chosen->insert(id, {.key = id, .depth = id % 5});
  for (int i = 0; i < 1000; ++i) chosen->touch(static_cast<Id>(rng.below(100)), {});
  const auto odd = [](Id id) { return id % 2 == 1; };
  std::set<Id> gone;
  while (const auto victim = chosen->evict(odd)) EXPECT_TRUE(odd(*victim) && gone.insert(*victim).second);
  EXPECT_EQ(gone.size(), 50u);
  EXPECT_EQ(chosen->size(), 50u);
  for (Id id = 0; id < 100; id += 2) chosen->remove(id);
  EXPECT_EQ(chosen->size(), 0u);
  EXPECT_EQ(chosen->evict(kAnyone), std::nullopt);
}

TEST_P(EveryPolicy, SurvivesRandomInsertsUsesRemovalsAndEvictions) {
  const auto chosen = policy(GetParam());
  Rng rng(11);
  std::set<Id> cached;
  for (int step = 0; step < 20'000; ++step) {
    const Id id = static_cast<Id>(rng.below(64));
    const EvictionPolicy::Use use{.key = id + rng.below(3) * 64, .depth = id % 9};
    const bool here = cached.contains(id);
    switch (rng.below(8)) {
      case 0:
        if (here) chosen->remove(id), cached.erase(id);
        break;
      case 1:
        if (const auto victim = chosen->evict([&](Id other) { return other != id; })) {
          EXPECT_NE(*victim, id);
          EXPECT_EQ(cached.erase(*victim), 1u);
        } else {
          EXPECT_TRUE(cached.empty() || (cached.size() == 1 && here));
        }
        break;
      default:
        here ? chosen->touch(id, use) : chosen->insert(id, use);
        cached.insert(id);
    }
    ASSERT_EQ(chosen->size(), cached.size());
  }
}

INSTANTIATE_TEST_SUITE_P(Policies, EveryPolicy,
                         ::testing::Values("lru", "fifo", "lfu", "length-aware", "sieve", "s3fifo"),
                         [](const auto& param) {
                           return param.param == "length-aware" ? "length_aware" : std::string(param.param);
                         });

TEST(S3Fifo, OneHitWondersLeaveTheSmallQueueAndReturnersEnterTheMainOne) {
  const auto chosen = policy("s3fifo");
  for (Id id = 0; id < 20; ++id) chosen->insert(id, {.key = id});
  for (int use = 0; use < 2; ++use) chosen->touch(0, {.key = 0});
  EXPECT_EQ(chosen->evict(kAnyone), 1u) << "0 was used twice: it moves to the main queue";
  chosen->insert(1, {.key = 1});  // remembered: into the main queue
  for (Id id = 2; id < 18; ++id) EXPECT_EQ(chosen->evict(kAnyone), id) << "all others have to go first";
}

TEST(S3Fifo, FindsTheOnlyOneThatMayGoWhenTheSmallQueueHandsItOn) {
  const auto chosen = policy("s3fifo");
  for (Id id = 0; id < 20; ++id) {
    chosen->insert(id, {.key = id});
    for (int use = 0; use < 2; ++use) chosen->touch(id, {.key = id});
  }
  chosen->insert(20, {.key = 20});
  ASSERT_EQ(chosen->evict(kAnyone), 20u) << "the others are in the main queue now";
  chosen->insert(21, {.key = 21});
  for (int use = 0; use < 2; ++use) chosen->touch(21, {.key = 21});
  EXPECT_EQ(chosen->evict([](Id id) { return id == 21; }), 21u);
  EXPECT_EQ(chosen->size(), 20u);
}

TEST(EvictionPolicyNames, AreAllMadeAndOthersAreRefusedWithTheList) {
  for (const std::string_view name : eviction_policy_names()) EXPECT_TRUE(make_eviction_policy(name).ok()) << name;
  EXPECT_TRUE(make_eviction_policy("default").ok());
  const Status refused = make_eviction_policy("opt").status();
  EXPECT_EQ(refused.code(), Code::kInvalidArgument);
  EXPECT_NE(refused.message().find("length-aware"), std::string::npos);
}

}  // namespace
}  // namespace mooncake::store
