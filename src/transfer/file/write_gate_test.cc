#include "transfer/file/write_gate.h"

#include <gmock/gmock.h>

#include "base/rng.h"

namespace mooncake::transfer {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
constexpr FileId kFile{1, 2};

TEST(WriteGate, WritesOfOneKindGoTogether) {
  WriteGate gate;
  EXPECT_TRUE(gate.enter(kFile, true, 1));
  EXPECT_TRUE(gate.enter(kFile, true, 2));
  EXPECT_THAT(gate.leave(kFile), IsEmpty());
  EXPECT_THAT(gate.leave(kFile), IsEmpty());
  EXPECT_TRUE(gate.enter(kFile, false, 3));
  EXPECT_TRUE(gate.enter(kFile, false, 4));
}

TEST(WriteGate, OtherKindWaitsForTheLastOfThisOne) {
  WriteGate gate;
  EXPECT_TRUE(gate.enter(kFile, true, 1));
  EXPECT_TRUE(gate.enter(kFile, true, 2));
  EXPECT_FALSE(gate.enter(kFile, false, 3));
  EXPECT_FALSE(gate.enter(kFile, false, 4));
  EXPECT_FALSE(gate.enter(kFile, true, 5));  // nobody overtakes, or the others might wait for ever
  EXPECT_THAT(gate.leave(kFile), IsEmpty());
  EXPECT_THAT(gate.leave(kFile), ElementsAre(3, 4));
  EXPECT_THAT(gate.leave(kFile), IsEmpty());
  EXPECT_THAT(gate.leave(kFile), ElementsAre(5));
}

TEST(WriteGate, FilesDoNotWaitForEachOther) {
  WriteGate gate;
  EXPECT_TRUE(gate.enter(kFile, true, 1));
  EXPECT_TRUE(gate.enter({1, 3}, false, 2));
  EXPECT_TRUE(gate.enter({2, 2}, false, 3));
}

TEST(WriteGate, ForgottenWriteIsNotNamedAnyMore) {
  WriteGate gate;
  EXPECT_TRUE(gate.enter(kFile, true, 1));
  EXPECT_FALSE(gate.enter(kFile, false, 2));
  EXPECT_FALSE(gate.enter(kFile, true, 3));
  EXPECT_TRUE(gate.forget(kFile, 2));
  EXPECT_FALSE(gate.forget(kFile, 2));
  EXPECT_FALSE(gate.forget(kFile, 1));  // it runs
  EXPECT_THAT(gate.leave(kFile), ElementsAre(3));
}

TEST(WriteGate, RandomWritesAllBeginAndNeverBesideTheOtherKind) {
  Rng rng(7);
  WriteGate gate;
  std::map<std::uint64_t, bool> running;
  std::map<std::uint64_t, bool> waiting;
  for (std::uint64_t id = 1; id < 5000 || !running.empty(); ++id) {
    if (id < 5000 && rng.below(2) == 0) {
      const bool direct = rng.below(3) > 0;
      (gate.enter(kFile, direct, id) ? running : waiting).emplace(id, direct);
    } else if (!running.empty()) {
      running.erase(running.begin());
      for (const std::uint64_t next : gate.leave(kFile)) running.insert(waiting.extract(next));
    }
    for (const auto& [each, direct] : running) ASSERT_EQ(direct, running.begin()->second);
  }
  EXPECT_THAT(waiting, IsEmpty());
}

}  // namespace
}  // namespace mooncake::transfer
