// The transport above a queue that does what the test says: what a real system does once in a year.
#include "transfer/file/file_transport.h"

#include <gmock/gmock.h>

#include <array>
#include <cerrno>
#include <map>

#include "transfer/file/test_files.h"

namespace mooncake::transfer {
namespace {

using Op = TransferRequest::Op;
using testing::ElementsAre;
using testing::IsEmpty;
constexpr std::size_t kPage = 4096;

/// Remembers what it was asked for; completes what the test says.
class FakeQueue final : public FileQueue {
 public:
  struct Seen {
    std::vector<FileOp> ops;
    std::vector<std::uint64_t> cancelled;
    Completed completed;
    bool ended = false;
  };
  FakeQueue(Seen& seen, Completed completed) : seen_(seen) { seen.completed = std::move(completed); }
  ~FakeQueue() override { seen_.ended = true; }
  void submit(const FileOp& op) override { seen_.ops.push_back(op); }
  void cancel(std::uint64_t id) override { seen_.cancelled.push_back(id); }
  void pool_gone(std::uint64_t /*pool*/) override {}

 private:
  Seen& seen_;
};

class FileTransportTest : public testing::Test, public SliceSink {
 protected:
  FileTransportTest() {
    context_.loop->start();
    file_ = add();
    direct_ = (*OpenFile::open(path_, {}))->fits_direct({memory_.data(), kPage}, 0);
  }
  ~FileTransportTest() override {
    context_.loop->stop();
    context_.loop->join();
  }

  SegmentHandle add() { return *context_.segments.add_file(*OpenFile::open(path_, {.writable = true, .bytes = 0})); }
  void start(std::uint64_t id, Op op, std::size_t bytes, std::uint64_t offset = 0) {
    slices_[id] = {.op = op,
                   .local = ByteSpan(memory_.data(), bytes),
                   .remote = {.segment = file_, .offset = offset, .length = bytes}};
    transport_.start(SliceId{id}, slices_[id]);
  }
  Abandoned abandon(std::uint64_t id) { return transport_.abandon(SliceId{id}, slices_[id]); }
  void complete(std::uint64_t id, std::int64_t moved) { seen_.completed(id, moved); }
  bool last_was_direct() { return (::fcntl(seen_.ops.back().fd, F_GETFL) & O_DIRECT) != 0; }
  /// Unregisters the file. @return whether nobody held it.
  bool released() {
    EXPECT_TRUE(context_.segments.revoke(file_, [this] { gone_ = true; }).ok());
    return gone_;
  }

  void on_slice_path(SliceId /*id*/, PathCounters& path) override { EXPECT_EQ(path.labels().transport, "file"); }
  void on_slice_done(SliceId id, const Status& status) override {
    EXPECT_TRUE(reports_.emplace(static_cast<std::uint64_t>(id), status).second) << "reported twice";
  }
  void on_slice_let_go(SliceId /*id*/) override { ADD_FAILURE() << "files hold memory to the end"; }
  void on_slice_refused(SliceId /*id*/) override { FAIL(); }
  Code reported(std::uint64_t id) { return reports_.contains(id) ? reports_[id].code() : Code::kInternal; }

  struct alignas(kPage) Aligned : std::array<std::byte, 64 * kPage> {};

  TempFolder folder_;
  const std::string path_ = folder_.file("a", noise(64 * kPage, 1));
  std::unique_ptr<net::EventLoop> executor_ = net::EventLoop::create("test");
  Context context_{{}, executor_.get(), 1000};
  std::unique_ptr<Aligned> aligned_ = std::make_unique<Aligned>();
  std::span<std::byte> memory_{*aligned_};
  bool direct_ = false;  // whether this file system has O_DIRECT
  SegmentHandle file_;
  bool gone_ = false;
  std::map<std::uint64_t, Slice> slices_;
  std::map<std::uint64_t, Status> reports_;
  FakeQueue::Seen seen_;
  FileTransport transport_{context_, *this, [this](net::EventLoop&, const PoolSet&, FileQueue::Completed completed) {
                             return std::make_unique<FakeQueue>(seen_, std::move(completed));
                           }};
};

TEST_F(FileTransportTest, ShortReadsAndWritesAreContinuedWithTheRest) {
  for (const Op op : {Op::kRead, Op::kWrite}) {
    const std::uint64_t id = op == Op::kRead ? 1 : 2;
    start(id, op, 4 * kPage, kPage);
    complete(id, kPage);
    ASSERT_EQ(seen_.ops.back().id, id);
    EXPECT_EQ(seen_.ops.back().memory.data(), memory_.data() + kPage);
    EXPECT_EQ(seen_.ops.back().memory.size(), 3 * kPage);
    EXPECT_EQ(seen_.ops.back().offset, 2 * kPage);
    EXPECT_EQ(last_was_direct(), direct_);
    complete(id, 100);  // what is left is not aligned
    EXPECT_EQ(seen_.ops.back().offset, 2 * kPage + 100);
    EXPECT_FALSE(last_was_direct());
    EXPECT_FALSE(reports_.contains(id));
    complete(id, 3 * kPage - 100);
    EXPECT_EQ(reported(id), Code::kOk);
  }
  EXPECT_TRUE(released());
}

TEST_F(FileTransportTest, EndOfTheFileIsAnErrorThatSaysHowFarItGot) {
  start(1, Op::kRead, 4 * kPage);
  complete(1, 1000);
  complete(1, 0);
  EXPECT_EQ(reported(1), Code::kOutOfRange);
  EXPECT_THAT(reports_[1].message(), testing::AllOf(testing::HasSubstr("1000"), testing::HasSubstr(path_)));
}

TEST_F(FileTransportTest, ErrorsOfTheSystemAreTyped) {
  const std::map<int, Code> expected = {{ENOSPC, Code::kExhausted},       {EDQUOT, Code::kExhausted},
                                        {EFBIG, Code::kExhausted},        {EIO, Code::kUnavailable},
                                        {EROFS, Code::kPermissionDenied}, {EBADMSG, Code::kCorrupt},
                                        {ESTALE, Code::kUnavailable}};
  std::uint64_t id = 0;
  for (const auto& [error, code] : expected) {
    start(++id, Op::kWrite, kPage);
    complete(id, -error);
    EXPECT_EQ(reported(id), code) << error;
    EXPECT_THAT(reports_[id].message(), testing::HasSubstr(path_));
  }
  start(++id, Op::kWrite, kPage);
  complete(id, 0);
  EXPECT_EQ(reported(id), Code::kUnavailable);
}

TEST_F(FileTransportTest, DirectAccessThatIsRefusedGoesThroughThePageCache) {
  if (!direct_) GTEST_SKIP() << "the file system of " << path_ << " has no O_DIRECT";
  start(1, Op::kWrite, kPage);
  EXPECT_TRUE(last_was_direct());
  complete(1, -EINVAL);
  EXPECT_FALSE(last_was_direct());
  complete(1, -EINVAL);  // and again is an error
  EXPECT_EQ(reported(1), Code::kInvalidArgument);
}

TEST_F(FileTransportTest, InterruptedOperationsAreTriedAgainButNotForEver) {
  start(1, Op::kRead, kPage);
  complete(1, -EINTR);
  complete(1, -EAGAIN);
  complete(1, kPage);
  EXPECT_EQ(reported(1), Code::kOk);
  start(2, Op::kRead, kPage);
  for (int i = 0; i < kFileRetriesMax; ++i) complete(2, -EINTR);
  EXPECT_FALSE(reports_.contains(2));
  complete(2, -EINTR);
  EXPECT_EQ(reported(2), Code::kUnavailable);
}

TEST_F(FileTransportTest, GivenUpSliceKeepsItsMemoryUntilTheKernelLetsGo) {
  start(1, Op::kRead, 2 * kPage);
  start(2, Op::kRead, 2 * kPage);
  EXPECT_EQ(abandon(1), Abandoned::kHeld);
  EXPECT_EQ(abandon(2), Abandoned::kHeld);
  EXPECT_THAT(seen_.cancelled, ElementsAre(1, 2));
  EXPECT_FALSE(released());
  EXPECT_THAT(reports_, IsEmpty());
  complete(1, -ECANCELED);
  EXPECT_EQ(reported(1), Code::kCancelled);
  complete(2, kPage);  // short, and not continued
  EXPECT_EQ(seen_.ops.size(), 2u);
  EXPECT_EQ(reported(2), Code::kCancelled);
  EXPECT_TRUE(gone_);
}

TEST_F(FileTransportTest, SliceThatWasDoneBeforeItsCancellationIsDone) {
  start(1, Op::kRead, kPage);
  EXPECT_EQ(abandon(1), Abandoned::kHeld);
  complete(1, kPage);
  EXPECT_EQ(reported(1), Code::kOk);
}

TEST_F(FileTransportTest, BufferedWriteWaitsForDirectOnesAndCanBeForgottenMeanwhile) {
  if (!direct_) GTEST_SKIP() << "the file system of " << path_ << " has no O_DIRECT";
  start(1, Op::kWrite, kPage);
  start(2, Op::kWrite, 100, kPage);
  start(3, Op::kWrite, 100, 2 * kPage);
  start(4, Op::kRead, 100, 3 * kPage);  // reads wait for nobody
  ASSERT_EQ(seen_.ops.size(), 2u);
  EXPECT_EQ(seen_.ops.back().id, 4u);
  EXPECT_EQ(abandon(2), Abandoned::kForgotten);
  complete(1, kPage);
  ASSERT_EQ(seen_.ops.size(), 3u);
  EXPECT_EQ(seen_.ops.back().id, 3u);
  complete(3, 100);
  complete(4, 100);
  EXPECT_FALSE(reports_.contains(2));
  EXPECT_THAT(seen_.cancelled, IsEmpty());
  EXPECT_TRUE(released());
}

TEST_F(FileTransportTest, RevokedSlicesEndAsStaleOnceTheKernelLetsGo) {
  start(1, Op::kWrite, kPage);
  start(2, Op::kWrite, 100, kPage);
  transport_.revoke(file_);
  EXPECT_EQ(reports_.contains(2), direct_);  // then it had not begun
  EXPECT_FALSE(reports_.contains(1));
  complete(1, -ECANCELED);
  if (!direct_) complete(2, -EINTR);
  EXPECT_EQ(reported(1), Code::kStale);
  EXPECT_EQ(reported(2), Code::kStale);
  EXPECT_TRUE(released());
}

TEST_F(FileTransportTest, CloseWaitsForTheQueueAndReleasesTheFiles) {
  start(1, Op::kWrite, kPage);
  start(2, Op::kWrite, 100, kPage);
  transport_.close();
  EXPECT_TRUE(seen_.ended);
  EXPECT_TRUE(released());
  EXPECT_THAT(reports_, IsEmpty());
}

TEST_F(FileTransportTest, RefusalIsReportedFromTheLoopAndHoldsNothing) {
  std::promise<void> go_on;
  context_.loop->post([&] { go_on.get_future().wait(); });
  start(1, Op::kRead, kPage, 64 * kPage);
  EXPECT_THAT(reports_, IsEmpty());
  go_on.set_value();
  std::promise<void> drained;
  context_.loop->post([&] { drained.set_value(); });
  drained.get_future().wait();
  EXPECT_EQ(reported(1), Code::kOutOfRange);
  EXPECT_EQ(abandon(1), Abandoned::kForgotten);
  EXPECT_TRUE(released());
  EXPECT_THAT(seen_.ops, IsEmpty());
}

}  // namespace
}  // namespace mooncake::transfer
