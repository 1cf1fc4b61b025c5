#include "transfer/tcp/redial_table.h"

#include <gtest/gtest.h>

namespace mooncake::transfer {
namespace {

TEST(RedialTable, PausesDoubleToAMinuteUntilAConnectionIsMade) {
  RedialTable table;
  Millis last{0};
  for (const int seconds : {1, 2, 4, 8, 16, 32, 60, 60}) {
    last = *table.on_lost(3);
    EXPECT_EQ(last, Seconds(seconds));
    table.on_due(3);
  }
  table.on_made(3);
  EXPECT_EQ(*table.on_lost(3), kRedialMin);
}

TEST(RedialTable, ManyConnectionsLostAtOnceArePlannedOnceAndRailsAreApart) {
  RedialTable table;
  EXPECT_TRUE(table.on_lost(0).has_value());
  EXPECT_FALSE(table.on_lost(0).has_value());
  EXPECT_EQ(*table.on_lost(1), kRedialMin);
}

}  // namespace
}  // namespace mooncake::transfer
