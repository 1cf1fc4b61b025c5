// NodeCore beside a slow twin: the same random commands, the same victims.
#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "base/rng.h"
#include "store/core/node_core.h"

namespace mooncake::store {
namespace {

constexpr std::uint32_t kPage = 1024;
constexpr std::uint32_t kPages = 12;
constexpr std::uint32_t kWatermarkPages = 10;
constexpr std::uint64_t kSizes[] = {64, 200, 500, 1024, 1500, 4000};
constexpr std::uint64_t kKeys = 60;

Key128 key(std::uint64_t number) { return {number, splitmix64(number)}; }

using Numbers = std::vector<std::uint64_t>;

// A list of objects with their places, searched from end to end for every question. It is told where the core puts
// things, and foresees who goes.
struct SlowNode {
  struct Object {
    std::uint64_t number = 0;
    ObjectId id = 0;
    std::uint64_t bytes = 0;
    Extents extents = {};
    std::uint64_t came = 0;
    std::uint64_t last_use = 0;
    int pins = 0;
    bool pending = true;
    bool dropped = false;

    [[nodiscard]] bool may_go() const { return pins == 0 && !pending; }
    [[nodiscard]] bool in(std::uint64_t page) const {
      return std::ranges::any_of(extents, [&](const Extent& extent) {
        return page >= extent.offset / kPage && page <= (extent.offset + extent.bytes - 1) / kPage;
      });
    }
  };
  using Objects = std::vector<Object>;

  /// What a small object takes of a page; 0: it has pages of its own.
  static std::uint64_t slot(std::uint64_t bytes) { return bytes > kPage / 2 ? 0 : (bytes + 63) / 64 * 64; }

  static std::uint32_t free_pages(const Objects& all) {
    std::uint32_t count = 0;
    for (std::uint32_t page = 0; page < kPages; ++page) {
      count += std::ranges::none_of(all, [&](const Object& object) { return object.in(page); }) ? 1 : 0;
    }
    return count;
  }

  static bool fits(const Objects& all, std::uint64_t bytes) {
    if (slot(bytes) == 0) return (bytes + kPage - 1) / kPage <= free_pages(all);
    for (std::uint32_t page = 0; page < kPages; ++page) {
      const auto here = std::ranges::count_if(
          all, [&](const Object& object) { return object.in(page) && slot(object.bytes) == slot(bytes); });
      if (here > 0 && static_cast<std::uint64_t>(here) < kPage / slot(bytes)) return true;
    }
    return free_pages(all) > 0;
  }

  /// All that would leave with `victim`: itself, and with a small one everything in its page. Empty if one must stay.
  static Numbers leave_with(const Objects& all, const Object& victim) {
    Numbers numbers;
    for (const Object& object : all) {
      const bool beside = slot(victim.bytes) > 0 && object.in(victim.extents.front().offset / kPage);
      if (object.id != victim.id && !beside) continue;
      if (!object.may_go()) return {};
      numbers.push_back(object.number);
    }
    return numbers;
  }

  static void erase(Objects& all, const Numbers& numbers) {
    std::erase_if(all, [&](const Object& object) {
      return !object.dropped && std::ranges::find(numbers, object.number) != numbers.end();
    });
  }

  /// The first in the order of eviction, or nothing, that leaves `all` with others or alone.
  template <typename LeaveWith>
  [[nodiscard]] Numbers first_to_leave(const Objects& all, LeaveWith&& leave) const {
    Objects line = all;
    std::ranges::sort(line, {}, by_arrival ? &Object::came : &Object::last_use);
    for (const Object& object : line) {
      if (!object.may_go()) continue;
      if (Numbers numbers = leave(object); !numbers.empty()) return numbers;
    }
    return {};
  }

  /// Who goes for a put of `bytes`; nothing when there can be no room.
  [[nodiscard]] std::optional<Numbers> victims(std::uint64_t bytes) const {
    Objects least = objects;
    for (const Object& object : objects) erase(least, leave_with(objects, object));
    const bool suffices = fits(least, bytes);
    Objects left = objects;
    Numbers gone;
    while (!fits(left, bytes)) {
      const Numbers next = first_to_leave(left, [&](const Object& object) {
        if (slot(bytes) > 0 && slot(object.bytes) == slot(bytes)) return Numbers{object.number};
        return suffices ? leave_with(left, object) : Numbers{};
      });
      if (next.empty()) return std::nullopt;
      gone.insert(gone.end(), next.begin(), next.end());
      erase(left, next);
    }
    return gone;
  }

  /// Who goes for reclaim(objects_max).
  [[nodiscard]] Numbers reclaimed(std::size_t objects_max) const {
    Objects left = objects;
    Numbers gone;
    while (kPages - free_pages(left) > kWatermarkPages && gone.size() < objects_max) {
      const Numbers next = first_to_leave(left, [&](const Object& object) { return leave_with(left, object); });
      if (next.empty()) break;
      gone.insert(gone.end(), next.begin(), next.end());
      erase(left, next);
    }
    return gone;
  }

  Object* live(std::uint64_t number) {
    const auto at =
        std::ranges::find_if(objects, [&](const Object& object) { return object.number == number && !object.dropped; });
    return at == objects.end() ? nullptr : &*at;
  }
  Object& with_id(ObjectId id) { return *std::ranges::find(objects, id, &Object::id); }

  bool by_arrival = false;  // fifo; else lru
  Objects objects = {};
};

// Plays one random command after the other to both.
class NodeCoreTwin : public testing::TestWithParam<std::tuple<std::string_view, std::uint64_t>> {
 protected:
  NodeCoreTwin()
      : rng_(std::get<1>(GetParam())),
        core_({.pool_bytes = std::uint64_t{kPages} * kPage,
               .page_bytes = kPage,
               .high_watermark = static_cast<double>(kWatermarkPages) / kPages + 0.01,
               .eviction = std::get<0>(GetParam())}),
        twin_{.by_arrival = std::get<0>(GetParam()) == "fifo"} {}

  void put(std::uint64_t number) {
    const std::uint64_t bytes = kSizes[number % std::size(kSizes)];
    ObjectId id = 0;
    if (SlowNode::Object* here = twin_.live(number)) {
      const auto expected = here->pending ? NodeCore::PutStart::kPending : NodeCore::PutStart::kExists;
      ASSERT_EQ(core_.begin_put(key(number), bytes, changes_, id), expected);
      here->last_use = ++now_;
      return;
    }
    const std::optional<Numbers> expected = twin_.victims(bytes);
    const NodeCore::PutStart start = core_.begin_put(key(number), bytes, changes_, id);
    ASSERT_EQ(start, expected ? NodeCore::PutStart::kAllocated : NodeCore::PutStart::kNoRoom);
    expect_gone(expected.value_or(Numbers{}));
    if (expected) twin_.objects.push_back({.number = number, .id = id, .bytes = bytes, .extents = core_.extents(id)});
  }
  void end_put() {
    const auto at = std::ranges::find_if(twin_.objects, &SlowNode::Object::pending);
    if (at == twin_.objects.end()) return;
    if (rng_.below(4) == 0) {
      core_.abort_put(at->id);
      twin_.objects.erase(at);
      return;
    }
    core_.commit_put(at->id, 0, changes_);
    core_.confirm(key(at->number), changes_.back().version);
    at->pending = false;
    at->came = at->last_use = ++now_;
  }
  void pin(std::uint64_t number) {
    SlowNode::Object* here = twin_.live(number);
    const auto view = core_.pin(key(number));
    ASSERT_EQ(view.has_value(), here != nullptr && !here->pending);
    if (!view) return;
    ASSERT_EQ(view->id, here->id);
    ++here->pins;
    here->last_use = ++now_;
    pins_.push_back(view->id);
  }
  void unpin() {
    if (pins_.empty()) return;
    std::swap(pins_[rng_.below(pins_.size())], pins_.back());
    core_.unpin(pins_.back());
    SlowNode::Object& object = twin_.with_id(pins_.back());
    pins_.pop_back();
    if (--object.pins == 0 && object.dropped)
      twin_.objects.erase(twin_.objects.begin() + (&object - &twin_.objects[0]));
  }
  void drop(std::uint64_t number) {
    core_.drop(key(number), std::nullopt, changes_);
    SlowNode::Object* here = twin_.live(number);
    if (here == nullptr || here->pending) return expect_gone({});
    if (here->pins == 0) return expect_gone({number});
    here->dropped = true;
    changes_.clear();
  }
  void reclaim() {
    const std::size_t objects_max = rng_.below(6);
    const Numbers expected = twin_.reclaimed(objects_max);
    core_.reclaim(objects_max, changes_);
    expect_gone(expected);
  }
  void expect_gone(const Numbers& expected) {
    Numbers gone;
    for (const NodeChange& change : changes_) {
      if (change.kind == NodeChange::Kind::kRemoved) gone.push_back(change.key.high);
    }
    changes_.clear();
    ASSERT_TRUE(std::ranges::is_permutation(gone, expected))
        << testing::PrintToString(gone) << ", expected " << testing::PrintToString(expected);
    SlowNode::erase(twin_.objects, gone);
  }

  Rng rng_;
  NodeCore core_;
  SlowNode twin_;
  NodeChanges changes_;
  std::vector<ObjectId> pins_;
  std::uint64_t now_ = 0;
};

TEST_P(NodeCoreTwin, TheSameObjectsGoOnRandomCommands) {
  for (int step = 0; step < 3'000; ++step) {
    const std::uint64_t number = rng_.below(rng_.below(kKeys) + 1);
    switch (rng_.below(12)) {
      case 0:
        drop(number);
        break;
      case 1:
        reclaim();
        break;
      case 2:
      case 3:
        pin(number);
        break;
      case 4:
      case 5:
        unpin();
        break;
      case 6:
      case 7:
      case 8:
        end_put();
        break;
      default:
        put(number);
    }
    if (HasFatalFailure()) FAIL() << "step " << step;
    changes_.clear();
  }
  EXPECT_GT(core_.evictions(), 100u);
}

INSTANTIATE_TEST_SUITE_P(Seeds, NodeCoreTwin,
                         testing::Combine(testing::Values("lru", "fifo"), testing::Range<std::uint64_t>(1, 4)),
                         [](const auto& param) {
                           return std::string(std::get<0>(param.param)) + std::to_string(std::get<1>(param.param));
                         });

}  // namespace
}  // namespace mooncake::store
