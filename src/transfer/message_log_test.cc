#include "transfer/message_log.h"

#include <gmock/gmock.h>

#include <vector>

#include "base/rng.h"

namespace mooncake::transfer {
namespace {

FrameHeader call(std::uint64_t id) { return {.kind = FrameKind::kCall, .request_id = id}; }

std::string text(const OutFrame& frame) {
  return {reinterpret_cast<const char*>(frame.borrowed.data()), frame.borrowed.size()};
}

TEST(MessageLog, SendsInOrderAndDropsWhatIsAcknowledged) {
  MessageLog log;
  log.append(call(1), "one");
  log.append(call(2), "two");
  EXPECT_EQ(text(log.next()), "one");
  EXPECT_EQ(text(log.next()), "two");
  EXPECT_FALSE(log.has_next());
  EXPECT_TRUE(log.acknowledged(1).ok());
  EXPECT_GT(log.bytes(), sizeof(FrameHeader) + sizeof(std::string)) << "what it costs to keep a short one";
  EXPECT_TRUE(log.acknowledged(2).ok());
  EXPECT_EQ(log.bytes(), 0u);
}

TEST(MessageLog, RewindSendsAgainWhatWasNotAcknowledgedAndNothingElse) {
  MessageLog log;
  for (int i = 0; i < 4; ++i) log.append(call(i), std::to_string(i));
  for (int i = 0; i < 3; ++i) static_cast<void>(log.next());
  ASSERT_TRUE(log.acknowledged(2).ok());
  log.rewind();
  EXPECT_EQ(text(log.next()), "2");
  EXPECT_EQ(text(log.next()), "3");
  EXPECT_FALSE(log.has_next());
}

TEST(MessageLog, CountsThatCannotBeAreCorrupt) {
  MessageLog log;
  log.append(call(1), "one");
  EXPECT_EQ(log.acknowledged(1).code(), Code::kCorrupt);  // not sent yet
  static_cast<void>(log.next());
  EXPECT_EQ(log.acknowledged(2).code(), Code::kCorrupt);
  ASSERT_TRUE(log.acknowledged(1).ok());
  EXPECT_TRUE(log.acknowledged(0).ok());  // said earlier, on another connection
}

/// The peer lies; the frame waits to be written.
TEST(MessageLog, FrameKeepsItsBytesThoughItIsAcknowledgedEarly) {
  MessageLog log;
  log.append(call(1), std::string(100'000, 'm'));
  const OutFrame frame = log.next();
  ASSERT_TRUE(log.acknowledged(1).ok());
  EXPECT_EQ(log.bytes(), 0u);
  EXPECT_EQ(text(frame), std::string(100'000, 'm'));
}

TEST(MessageLog, EveryMessageIsHeardOnceInOrderHoweverOftenTheCarrierBreaks) {
  Rng rng(3);
  MessageLog log;
  MessageCount heard;
  std::vector<std::string> wire;  // what is on the connection now
  std::vector<std::uint64_t> got;
  std::uint64_t made = 0;
  for (int step = 0; step < 20'000; ++step) {
    switch (rng.below(4)) {
      case 0:
        log.append(call(made), std::to_string(made));
        ++made;
        break;
      case 1:
        while (log.has_next()) wire.push_back(text(log.next()));
        break;
      case 2:
        for (const std::string& message : wire) {
          got.push_back(std::stoull(message));
          if (heard.arrived(message.size())) {
            ASSERT_TRUE(log.acknowledged(heard.total()).ok());
          }
        }
        wire.clear();
        break;
      default:  // it breaks after some of what is on it has come
        wire.resize(rng.below(wire.size() + 1));
        for (const std::string& message : wire) {
          got.push_back(std::stoull(message));
          static_cast<void>(heard.arrived(message.size()));
        }
        wire.clear();
        ASSERT_TRUE(log.acknowledged(heard.total()).ok());
        log.rewind();
    }
  }
  ASSERT_GT(got.size(), 1000u);
  for (std::uint64_t i = 0; i < got.size(); ++i) ASSERT_EQ(got[i], i);
}

TEST(MessageCount, TellsTheSenderAfterManyMessagesOrManyBytes) {
  MessageCount count;
  for (std::uint64_t i = 1; i < kAckMessages; ++i) EXPECT_FALSE(count.arrived(10));
  EXPECT_TRUE(count.arrived(10));
  EXPECT_FALSE(count.arrived(kAckBytes - 1));
  EXPECT_TRUE(count.arrived(1));
  EXPECT_EQ(count.total(), kAckMessages + 2);
}

}  // namespace
}  // namespace mooncake::transfer
