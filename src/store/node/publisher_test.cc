#include "store/node/publisher.h"

#include <gtest/gtest.h>

#include "net/event_loop.h"

namespace mooncake::store {
namespace {

NodeChanges stored(std::uint64_t first, std::uint64_t count) {
  NodeChanges changes;
  for (std::uint64_t i = first; i < first + count; ++i) changes.push_back({.key = {i, i}, .version = i + 1});
  return changes;
}

/// A master that never answers: nothing runs on the loop, which is this thread's as far as the publisher knows.
class PublisherTest : public testing::Test {
 protected:
  const std::unique_ptr<net::EventLoop> loop_ = net::EventLoop::create("test");
  const std::unique_ptr<transfer::TransferEngine> engine_ =
      std::move(transfer::TransferEngine::create({.node_name = "node"}, *loop_)).value();
  const std::shared_ptr<Publisher> publisher_ = std::make_shared<Publisher>(
      *engine_, Publisher::Hooks{[](const NodeChange&) {}, [](const NodeChange&) {}, [] {}, [](double) {}},
      /*backlog_max=*/10);
};

TEST_F(PublisherTest, IsFullWhenTheMasterIsBehindAndStillTakesWhatMustBeTold) {
  publisher_->begin({}, stored(0, 4));
  EXPECT_FALSE(publisher_->full());
  publisher_->push(stored(4, 5));
  EXPECT_FALSE(publisher_->full());
  publisher_->push(stored(9, 1));
  EXPECT_TRUE(publisher_->full());
  Status told;
  publisher_->push(stored(10, 1));
  publisher_->wait([&told](Status status) { told = std::move(status); });
  publisher_->end();
  EXPECT_EQ(told.code(), Code::kUnavailable) << "whoever waited hears that the session is over";
  EXPECT_FALSE(publisher_->full()) << "the next session begins with a report of everything";
}

}  // namespace
}  // namespace mooncake::store
