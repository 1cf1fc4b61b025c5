#include "transfer/message_route.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/rng.h"
#include "transfer/message_log.h"

namespace mooncake::transfer {
namespace {

using Carrier = MessageRoute::Carrier;

TEST(MessageRoute, TurnsToTheLaneWhenAllThatWentByTcpIsAcknowledged) {
  MessageRoute route;
  EXPECT_EQ(route.carrier(), Carrier::kNone);
  EXPECT_FALSE(route.turn()) << "there is no connection yet";
  route.to_tcp();
  EXPECT_FALSE(route.settled());
  EXPECT_EQ(route.carrier(), Carrier::kTcp);
  EXPECT_TRUE(route.turn());
  EXPECT_FALSE(route.turn());
  EXPECT_EQ(route.carrier(), Carrier::kTurning);
  EXPECT_TRUE(route.settled());
  EXPECT_EQ(route.carrier(), Carrier::kLane);
  EXPECT_FALSE(route.settled());
}

TEST(MessageRoute, LaneThatIsLostWithMessagesOnItMustBeFencedFirst) {
  MessageRoute route;
  route.to_tcp();
  EXPECT_FALSE(route.lane_lost()) << "it carried nothing";
  EXPECT_EQ(route.carrier(), Carrier::kTcp);
  EXPECT_TRUE(route.turn());
  EXPECT_FALSE(route.lane_lost());
  EXPECT_EQ(route.carrier(), Carrier::kTcp);
  EXPECT_TRUE(route.turn() && route.settled());
  EXPECT_TRUE(route.lane_lost());
  EXPECT_EQ(route.carrier(), Carrier::kNone);
  EXPECT_FALSE(route.turn()) << "also if there is another lane";
  route.to_tcp();
  EXPECT_TRUE(route.turn());
}

TEST(MessageRoute, ConnectionThatIsLostInTheTurnMustBeFencedFirst) {
  MessageRoute route;
  route.to_tcp();
  EXPECT_TRUE(route.turn());
  route.tcp_lost();
  EXPECT_EQ(route.carrier(), Carrier::kNone);
  EXPECT_FALSE(route.settled()) << "the acknowledgement that came too late";
  EXPECT_FALSE(route.lane_lost());
  EXPECT_EQ(route.carrier(), Carrier::kNone);
}

/// One direction of one peer: a log, a route, and two carriers that deliver each in order, at any time, and break.
class Exchange {
 public:
  explicit Exchange(std::uint64_t seed) : rng_(seed) { route_.to_tcp(); }

  void step() {
    switch (rng_.below(8)) {
      case 0:
      case 1:
        if (given_ < kMessages) give(std::to_string(given_++));
        return;
      case 2:
        return deliver(tcp_);
      case 3:
        return deliver(lane_);
      case 4:
        if (lane_up_ && route_.carrier() == Carrier::kTcp) {
          give("turn");
          ASSERT_TRUE(route_.turn());
        }
        return;
      case 5:
        if (rng_.below(100) == 0) lose(tcp_);
        return;
      case 6:
        if (rng_.below(100) == 0) lose(lane_);
        return;
      default:
        fenced();
        lane_up_ = true;
    }
  }
  [[nodiscard]] bool done() const { return numbers_.size() == kMessages; }
  static constexpr std::size_t kMessages = 500;

  /// What was heard of them, in order.
  const std::vector<std::string>& numbers() const { return numbers_; }
  [[nodiscard]] std::size_t by_lane() const { return by_lane_; }

 private:
  using Line = std::vector<std::string>;

  void give(std::string text) {
    log_.append({.kind = FrameKind::kCall}, std::move(text));
    send();
  }
  void send() {
    if (route_.carrier() != Carrier::kTcp && route_.carrier() != Carrier::kLane) return;
    Line& on = route_.carrier() == Carrier::kTcp ? tcp_ : lane_;
    while (log_.has_next()) on.push_back(*log_.next().lender);
  }
  void deliver(Line& line) {
    if (line.empty()) return;
    const std::string text = line.front();
    line.erase(line.begin());
    ++heard_;
    if (text != "turn") numbers_.push_back(text);
    by_lane_ += &line == &lane_ ? 1 : 0;
    if (text != "turn" && rng_.below(10) != 0) return;
    ASSERT_TRUE(log_.acknowledged(heard_).ok());
    if (log_.settled() && route_.settled()) send();
  }
  void lose(Line& line) {
    const bool lane = &line == &lane_;
    if (lane) {
      lane_up_ = false;
      fencing_ = route_.lane_lost() || fencing_;
      if (!fencing_) send();
    } else if (route_.carrier() == Carrier::kTcp || route_.carrier() == Carrier::kTurning) {
      route_.tcp_lost();
      fencing_ = true;
    } else {
      return;
    }
    line.clear();
  }
  void fenced() {
    if (!fencing_) return;
    fencing_ = false;
    ASSERT_TRUE(log_.acknowledged(heard_).ok());
    log_.rewind();
    route_.to_tcp();
    send();
  }

  Rng rng_;
  MessageRoute route_;
  MessageLog log_;
  Line tcp_;
  Line lane_;
  bool lane_up_ = false;
  bool fencing_ = false;
  std::size_t given_ = 0;
  std::uint64_t heard_ = 0;
  std::size_t by_lane_ = 0;
  std::vector<std::string> numbers_;
};

TEST(MessageRoute, NothingIsLostHeardTwiceOrOutOfOrderHoweverCarriersComeAndGo) {
  std::size_t by_lane = 0;
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    Exchange exchange(seed);
    for (int i = 0; i < 200'000 && !exchange.done() && !HasFatalFailure(); ++i) exchange.step();
    ASSERT_TRUE(exchange.done()) << "seed " << seed;
    for (std::size_t i = 0; i < exchange.numbers().size(); ++i) {
      ASSERT_EQ(exchange.numbers()[i], std::to_string(i)) << "seed " << seed;
    }
    by_lane += exchange.by_lane();
  }
  EXPECT_GT(by_lane, 200 * Exchange::kMessages / 10) << "lanes were used";
}

}  // namespace
}  // namespace mooncake::transfer
