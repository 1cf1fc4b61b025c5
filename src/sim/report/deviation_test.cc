#include "sim/report/deviation.h"

#include <gtest/gtest.h>

namespace mooncake::sim {
namespace {

TEST(Deviations, AreOursAgainstWhatIsPublishedInTheSameRow) {
  const Table table = deviations({.title = "TTFT",
                                  .columns = {"policy", "published", "5 nodes", "6 nodes"},
                                  .rows = {{std::string("random"), 2.0, 3.0, 1.0}}});
  EXPECT_EQ(table.title, "TTFT: ours / published - 1");
  EXPECT_EQ(table.columns, (std::vector<std::string>{"policy", "5 nodes", "6 nodes"}));
  EXPECT_EQ(table.rows, (std::vector<std::vector<Cell>>{{std::string("random"), 0.5, -0.5}}));
}

TEST(Deviations, AreEmptyWhereNothingCanBeCompared) {
  const Table table = deviations({.title = "",
                                  .columns = {"split", "published", "a", "b"},
                                  .rows = {{std::string("1P"), 0.0, 3.0, 1.0}, {std::string("2P"), 1.0, Cell(), 1.0}}});
  EXPECT_EQ(table.rows[0], (std::vector<Cell>{std::string("1P"), Cell(), Cell()}));
  EXPECT_EQ(table.rows[1], (std::vector<Cell>{std::string("2P"), Cell(), 0.0}));
}

}  // namespace
}  // namespace mooncake::sim
