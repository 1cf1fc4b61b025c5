#include "transfer/segment_index.h"

#include <gmock/gmock.h>

#include <limits>
#include <map>
#include <vector>

#include "base/rng.h"

namespace mooncake::transfer {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

/// Memory by its address alone.
ConstByteSpan at(std::uintptr_t address, std::size_t bytes) {
  return {reinterpret_cast<const std::byte*>(address), bytes};
}

std::vector<std::uint32_t> found(const SegmentIndex& index, ConstByteSpan range) {
  std::vector<std::uint32_t> numbers;
  index.overlapping(range, [&](std::uint32_t number) { numbers.push_back(number); });
  return numbers;
}

TEST(SegmentIndex, FindsWhatSharesAByteAndNotWhatTouches) {
  SegmentIndex index;
  index.add(at(1000, 100), 1);
  EXPECT_THAT(found(index, at(1099, 1)), ElementsAre(1));
  EXPECT_THAT(found(index, at(1100, 50)), IsEmpty());
  EXPECT_THAT(found(index, at(900, 100)), IsEmpty());
  EXPECT_THAT(found(index, at(900, 101)), ElementsAre(1));
  EXPECT_THAT(found(index, at(0, 1'000'000)), ElementsAre(1));
  EXPECT_THAT(found(index, at(1050, 0)), IsEmpty());
  index.remove(at(1000, 100), 1);
  EXPECT_THAT(found(index, at(1050, 1)), IsEmpty());
}

TEST(SegmentIndex, FindsAllThatOverlapTheLongestFirst) {
  SegmentIndex index;
  index.add(at(4096, 64), 3);
  index.add(at(0x1000, 1 << 20), 1);
  index.add(at(0x1000, 1 << 20), 2);  // the same place again
  EXPECT_THAT(found(index, at(4100, 4)), ElementsAre(1, 2, 3));
}

TEST(SegmentIndex, TheEndsOfTheAddressSpaceAreNoSpecialPlaces) {
  constexpr std::uintptr_t kTop = std::numeric_limits<std::uintptr_t>::max();
  SegmentIndex index;
  index.add(at(1, 1), 1);
  index.add(at(kTop, 1), 2);
  index.add(at(1, kTop), 3);
  EXPECT_THAT(found(index, at(1, 1)), ElementsAre(3, 1));
  EXPECT_THAT(found(index, at(kTop, 1)), ElementsAre(3, 2));
}

TEST(SegmentIndex, FindsWhatItsSlowTwinFindsInRandomMemory) {
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    Rng rng(seed);
    const auto memory = [&] { return at(1 + rng.below(100'000), 1 + rng.below(1ull << rng.below(17))); };
    SegmentIndex index;
    std::map<std::uint32_t, ConstByteSpan> twin;
    for (std::uint32_t step = 0; step < 3'000; ++step) {
      if (twin.size() > 200 || (!twin.empty() && rng.below(3) == 0)) {
        const auto gone = std::next(twin.begin(), static_cast<std::ptrdiff_t>(rng.below(twin.size())));
        index.remove(gone->second, gone->first);
        twin.erase(gone);
      } else {
        twin[step] = memory();
        index.add(twin[step], step);
      }
      const ConstByteSpan range = memory();
      std::vector<std::uint32_t> wanted;
      for (const auto& [number, piece] : twin) {
        const bool apart = piece.data() + piece.size() <= range.data() || range.data() + range.size() <= piece.data();
        if (!apart) wanted.push_back(number);
      }
      ASSERT_THAT(found(index, range), testing::UnorderedElementsAreArray(wanted));
    }
  }
}

}  // namespace
}  // namespace mooncake::transfer
