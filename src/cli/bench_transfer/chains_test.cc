#include "cli/bench_transfer/chains.h"

#include <gtest/gtest.h>

#include <atomic>

#include "net/event_loop.h"

namespace mooncake::cli {
namespace {

class ChainsOnALoop : public testing::Test {
 protected:
  ChainsOnALoop() : loop_(net::EventLoop::create("chains-test")) { loop_->start(); }
  ~ChainsOnALoop() override { loop_->stop(); }

  std::unique_ptr<net::EventLoop> loop_;
};

TEST_F(ChainsOnALoop, EachKeepsOneOperationInFlightUntilTheTimeIsUp) {
  constexpr std::uint32_t kChains = 3;
  std::array<std::atomic<int>, kChains> in_flight{};
  std::atomic<int> started{0};
  Chains chains(kChains, [&](std::uint32_t chain, Chains::Done done) {
    EXPECT_EQ(in_flight[chain]++, 0);
    ++started;
    loop_->post([&, chain, done = std::move(done)] {
      --in_flight[chain];
      done({});
    });
  });
  const auto seen = chains.run(Millis(20));
  ASSERT_TRUE(seen.ok());
  EXPECT_EQ(seen->latency_us.size(), static_cast<std::size_t>(started)) << "every operation counts, the last ones too";
  EXPECT_GE(seen->seconds, 0.02);
  for (const auto& each : in_flight) EXPECT_EQ(each, 0) << "run() waits for all";
}

TEST_F(ChainsOnALoop, FailureEndsItsChainAtOnceAndIsReturned) {
  std::atomic<int> started{0};
  Chains chains(1, [&](std::uint32_t, const Chains::Done& done) {
    const bool fails = ++started == 3;
    loop_->post([done, fails] { done(fails ? Status(Code::kPeerLost, "gone") : Status()); });
  });
  EXPECT_EQ(chains.run(Seconds(60)).status().code(), Code::kPeerLost);
  EXPECT_EQ(started, 3);
}

}  // namespace
}  // namespace mooncake::cli
