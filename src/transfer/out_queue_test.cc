#include "transfer/out_queue.h"

#include <gtest/gtest.h>

#include "base/rng.h"
#include "transfer/frame_reader.h"

namespace mooncake::transfer {
namespace {

OutFrame message(std::uint64_t id, std::string payload) {
  return OutFrame::make({.kind = FrameKind::kCall, .request_id = id}, {}, std::move(payload));
}
OutFrame bulk(std::uint64_t id, ConstByteSpan bytes) {
  return OutFrame::make({.kind = FrameKind::kData, .request_id = id}, {}, {}, bytes);
}

/// Takes up to `count` bytes, as a socket would.
std::string take(OutQueue& queue, std::size_t count, std::vector<std::uint64_t>* sent = nullptr) {
  int fd = -1;
  std::string taken;
  for (const iovec& piece : queue.gather(fd)) {
    const std::size_t part = std::min(piece.iov_len, count - taken.size());
    taken.append(static_cast<const char*>(piece.iov_base), part);
  }
  queue.sent(taken.size(), [&](const FrameHeader& header) {
    if (sent != nullptr) sent->push_back(header.request_id);
  });
  return taken;
}

std::string take_all(OutQueue& queue, std::vector<std::uint64_t>* sent = nullptr) {
  std::string all;
  while (!queue.empty()) all += take(queue, SIZE_MAX, sent);
  return all;
}

std::string flat(const OutFrame& frame) {
  std::string text(reinterpret_cast<const char*>(frame.head.data()), frame.head_bytes);
  text += frame.payload;
  return text.append(reinterpret_cast<const char*>(frame.borrowed.data()), frame.borrowed.size());
}

const std::string kText(3u << 20, 'b');
const ConstByteSpan kBulk = as_bytes(kText);

TEST(OutQueue, SmallFramesAreOnePieceAndLargePayloadsAreNotCopied) {
  OutQueue queue;
  std::string expected;
  for (std::uint64_t id = 1; id <= 64; ++id) {
    OutFrame frame = message(id, std::string(OutQueue::kJoinedPieceMax / 2, 'm'));
    expected += flat(frame);
    queue.push(std::move(frame));
  }
  int fd = -1;
  EXPECT_EQ(queue.gather(fd).size(), 1u);
  EXPECT_EQ(take_all(queue), expected);

  queue.push(bulk(65, kBulk));
  const std::span<iovec> pieces = queue.gather(fd);
  ASSERT_EQ(pieces.size(), 2u);
  EXPECT_EQ(pieces[1].iov_base, kBulk.data());
  EXPECT_EQ(pieces[1].iov_len, kBulk.size());
}

/// More small frames than there is room to copy together.
TEST(OutQueue, WhatIsJoinedHasALimit) {
  OutQueue queue;
  std::string expected;
  for (std::uint64_t id = 1; id <= OutQueue::kGatherMax; ++id) {
    OutFrame frame = message(id, std::string(OutQueue::kJoinedPieceMax, static_cast<char>('a' + id % 26)));
    expected += flat(frame);
    queue.push(std::move(frame));
  }
  ASSERT_GT(expected.size(), OutQueue::kJoinedBytes);
  EXPECT_EQ(take_all(queue), expected);
}

TEST(OutQueue, BytesComeOutWholeHoweverTheSocketTakesThem) {
  Rng rng(3);
  OutQueue queue;
  std::string expected;
  for (std::uint64_t id = 1; id <= 200; ++id) {
    OutFrame frame = message(id, std::string(rng.below(50), static_cast<char>('a' + id % 26)));
    expected += flat(frame);
    queue.push(std::move(frame));
  }
  EXPECT_EQ(queue.bytes(), expected.size());
  std::string got;
  while (!queue.empty()) got += take(queue, 1 + rng.below(200));
  EXPECT_EQ(got, expected);
  EXPECT_EQ(queue.bytes(), 0u);
}

TEST(OutQueue, MessageOvertakesBulkThatHasNotBegun) {
  OutQueue queue;
  queue.push(bulk(1, kBulk));
  queue.push(bulk(2, kBulk));
  const std::string begun = take(queue, 100);
  queue.push(message(3, "urgent"));
  std::vector<std::uint64_t> sent;
  const std::string rest = take_all(queue, &sent);
  EXPECT_EQ(begun + rest, flat(bulk(1, kBulk)) + flat(message(3, "urgent")) + flat(bulk(2, kBulk)));
  EXPECT_EQ(sent, (std::vector<std::uint64_t>{1, 2}));
}

TEST(OutQueue, UnsentBulkIsTakenOut) {
  OutQueue queue;
  queue.push(bulk(1, kBulk));
  queue.push(bulk(2, kBulk));
  static_cast<void>(take(queue, 10));
  EXPECT_EQ(queue.let_go(FrameKind::kWrite, 2), OutQueue::LetGo::kUnknown);
  EXPECT_EQ(queue.let_go(FrameKind::kData, 2), OutQueue::LetGo::kUnsent);
  EXPECT_EQ(queue.let_go(FrameKind::kData, 2), OutQueue::LetGo::kUnknown);
  EXPECT_EQ(take_all(queue).size(), flat(bulk(1, kBulk)).size() - 10);
}

TEST(OutQueue, CommittedButUnsentBulkIsTakenOutToo) {
  OutQueue queue;
  const ConstByteSpan small = kBulk.first(100);
  queue.push(bulk(1, small));
  queue.push(bulk(2, small));
  static_cast<void>(take(queue, 10));  // both are in wire order now
  EXPECT_EQ(queue.let_go(FrameKind::kData, 2), OutQueue::LetGo::kUnsent);
  EXPECT_EQ(take_all(queue).size(), flat(bulk(1, small)).size() - 10);
}

TEST(OutQueue, PartlySentBulkGoesOnFromACopyWhereverItWasCut) {
  for (const std::size_t cut : {std::size_t{1}, kHeaderBytes, kHeaderBytes + 1, std::size_t{999}}) {
    std::string text(1000, 'q');
    OutQueue queue;
    queue.push(bulk(1, as_bytes(text)));
    const std::string expected = flat(bulk(1, as_bytes(text)));
    std::string got = take(queue, cut);
    EXPECT_EQ(queue.let_go(FrameKind::kData, 1), OutQueue::LetGo::kCopied);
    text.assign(1000, '!');  // the owner's again
    got += take_all(queue);
    EXPECT_EQ(got, expected) << cut;
  }
}

TEST(OutQueue, FrameThatIsLetGoTwiceIsCopiedOnce) {
  std::string text(1000, 'q');
  const std::string expected = flat(bulk(1, as_bytes(text)));
  OutQueue queue;
  queue.push(bulk(1, as_bytes(text)));
  std::string got = take(queue, 100);
  EXPECT_EQ(queue.let_go(FrameKind::kData, 1), OutQueue::LetGo::kCopied);
  text.assign(1000, '!');
  EXPECT_EQ(queue.let_go(FrameKind::kData, 1), OutQueue::LetGo::kCopied);
  EXPECT_EQ(got + take_all(queue), expected);
}

/// A read whose answer was let go, and that is asked again before the answer is through.
TEST(OutQueue, SecondFrameOfARequestIsItsOwn) {
  const std::string text(1000, 'q');
  for (const bool revoked : {false, true}) {
    OutQueue queue;
    queue.push(bulk(1, as_bytes(text)));
    std::string got = take(queue, 100);
    EXPECT_EQ(queue.let_go(FrameKind::kData, 1), OutQueue::LetGo::kCopied);
    queue.push(bulk(1, as_bytes(text)));
    std::vector<std::uint64_t> sent;
    got += take(queue, 100, &sent);  // both are in wire order now
    if (revoked) {
      EXPECT_EQ(queue.let_go(FrameKind::kData, 1), OutQueue::LetGo::kUnsent);
    }
    got += take(queue, flat(bulk(1, as_bytes(text))).size() - 200, &sent);
    EXPECT_TRUE(sent.empty());  // the first borrows nothing any more
    got += take_all(queue, &sent);
    EXPECT_EQ(sent.size(), revoked ? 0u : 1u);
    EXPECT_EQ(got.size(), flat(bulk(1, as_bytes(text))).size() * (revoked ? 1 : 2));
  }
}

TEST(OutQueue, CostCountsTheFramesToo) {
  OutQueue queue;
  for (std::uint64_t id = 1; id <= 10; ++id) queue.push(message(id, "m"));
  queue.push(bulk(11, kBulk.first(100)));
  EXPECT_EQ(queue.cost(), queue.bytes() + 11 * sizeof(OutFrame));
  static_cast<void>(take(queue, 1));  // all are in wire order now
  EXPECT_EQ(queue.cost(), queue.bytes() + 11 * sizeof(OutFrame));
  static_cast<void>(take_all(queue));
  EXPECT_EQ(queue.cost(), 0u);
}

TEST(OutQueue, FrameWithADescriptorGoesAlone) {
  OutQueue queue;
  queue.push(message(1, "before"));
  OutFrame pool = message(2, "pool");
  pool.fd = UniqueFd(::dup(0));
  queue.push(std::move(pool));
  queue.push(message(3, "after"));
  int fd = -1;
  std::vector<std::size_t> turns;
  std::vector<bool> with_fd;
  while (!queue.empty()) {
    std::size_t bytes = 0;
    for (const iovec& piece : queue.gather(fd)) bytes += piece.iov_len;
    turns.push_back(bytes);
    with_fd.push_back(fd >= 0);
    queue.sent(bytes, [](const FrameHeader&) {});
  }
  EXPECT_EQ(with_fd, (std::vector<bool>{false, true, false}));
  EXPECT_EQ(turns, (std::vector<std::size_t>{kHeaderBytes + 6, kHeaderBytes + 4, kHeaderBytes + 5}));
}

/// Reads sealed frames back; their ids in order, or why not.
class Opened final : public FrameReader::Sink {
 public:
  explicit Opened(std::string_view stream) : reader_(*this) {
    reader_.open_with(std::make_unique<FrameMac>(FrameKey{}));
    status_ = reader_.consume(as_bytes(stream));
  }
  Status on_frame(const FrameHeader& header, std::string) override {
    ids_.push_back(header.request_id);
    return {};
  }
  std::byte* on_bulk(const FrameHeader&, const BulkRange&) override { return nullptr; }
  Status on_bulk_end(const FrameHeader& header, const BulkRange&) override { return on_frame(header, {}); }

  Status status_;
  std::vector<std::uint64_t> ids_;

 private:
  FrameReader reader_;
};

TEST(OutQueue, SealedFramesOpenInWireOrderHoweverTheyWereCutAndTakenOut) {
  Rng rng(7);
  for (int round = 0; round < 50; ++round) {
    OutQueue queue;
    queue.seal_with(std::make_unique<FrameMac>(FrameKey{}));
    std::string wire;
    std::uint64_t id = 0;
    for (int step = 0; step < 200; ++step) {
      if (rng.below(3) == 0) queue.push(bulk(++id, kBulk.first(1 + rng.below(5000))));
      if (rng.below(3) == 0) queue.push(message(++id, std::string(rng.below(100), 'm')));
      if (rng.below(4) == 0) static_cast<void>(queue.let_go(FrameKind::kData, id - rng.below(id + 1)));
      wire += take(queue, rng.below(4000));
    }
    wire += take_all(queue);
    const Opened opened(wire);
    EXPECT_TRUE(opened.status_.ok()) << opened.status_.to_string();
    EXPECT_GT(opened.ids_.size(), 50u);
  }
}

TEST(OutQueue, LastFrameIsSealedAndComesAfterTheProof) {
  OutQueue queue;
  queue.push(message(1, "the proof"));
  queue.seal_with(std::make_unique<FrameMac>(FrameKey{}));
  queue.push(message(2, "never sent"));
  const std::string bytes = queue.last(message(3, "the reason"));
  const std::string proof = flat(message(1, "the proof"));
  ASSERT_TRUE(bytes.starts_with(proof));
  const Opened opened(std::string_view(bytes).substr(proof.size()));
  EXPECT_TRUE(opened.status_.ok()) << opened.status_.to_string();
  EXPECT_EQ(opened.ids_, std::vector<std::uint64_t>{3});
}

}  // namespace
}  // namespace mooncake::transfer
