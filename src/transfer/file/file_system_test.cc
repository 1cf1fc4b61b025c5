// Files on systems that are full, limited or stopped, and block devices.
#include <gmock/gmock.h>
#include <linux/fs.h>
#include <sys/resource.h>

#include <csignal>
#include <cstdlib>

#include "transfer/file/test_files.h"
#include "transfer/file/test_mounts.h"

namespace mooncake::transfer {
namespace {

using Op = TransferRequest::Op;
using testing::HasSubstr;
constexpr std::size_t kMiB = 1 << 20;
constexpr std::uint16_t kEcho = 900;

class FileSystems : public testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
    if (GetParam() && !has_io_uring()) GTEST_SKIP() << "this kernel or sandbox has no io_uring";
    node_ = GetParam() ? std::make_unique<TestNode>() : node_without_io_uring({});
    memory_ = *node()->allocate_shared(8 * kMiB);
    static_cast<void>(*node()->register_memory(memory_, Access::kNone));
    std::memcpy(memory_.data(), noise(memory_.size(), 1).data(), memory_.size());
  }

  TestNode& node() { return *node_; }
  PeerHandle self() { return *node()->connect(node()->name()); }
  Status move(Op op, ByteSpan local, SegmentHandle segment, std::uint64_t offset = 0) {
    const TransferRequest request{.op = op, .local = local, .segment = segment, .offset = offset};
    return node()->submit_and_wait(self(), std::span(&request, 1), soon());
  }
  /// A sparse file: no room is allocated.
  std::string sparse(const std::string& path, std::size_t bytes) {
    const UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    EXPECT_EQ(::ftruncate(fd.get(), static_cast<off_t>(bytes)), 0);
    return path;
  }
  Later<Status> submit(Op op, SegmentHandle segment, Deadline deadline, Batch* batch = nullptr) {
    const TransferRequest request{.op = op, .local = memory_, .segment = segment, .offset = 0};
    Later<Status> done;
    Batch submitted = node()->submit(self(), std::span(&request, 1), deadline, std::nullopt, done.setter());
    if (batch != nullptr) *batch = std::move(submitted);
    return done;
  }
  void with_frozen_files(bool by_deadline);

  TempFolder folder_;
  std::unique_ptr<TestNode> node_;
  ByteSpan memory_;
};

INSTANTIATE_TEST_SUITE_P(Queues, FileSystems, testing::Values(true, false),
                         [](const testing::TestParamInfo<bool>& ring) { return ring.param ? "ring" : "threads"; });

TEST_P(FileSystems, FullOneIsToldWhenAFileIsMadeAndWhenOneIsWritten) {
  const bool allowed = with_private_mounts([this] {
    ASSERT_EQ(::mount("small", folder_.path().c_str(), "tmpfs", 0, "size=2m"), 0);
    const Status made = node()->register_file(folder_.file("made"), {.writable = true, .bytes = 8 * kMiB}).status();
    EXPECT_EQ(made.code(), Code::kExhausted) << made.to_string();
    std::filesystem::remove(folder_.file("made"));
    const SegmentHandle file = *node()->register_file(sparse(folder_.file("sparse"), 8 * kMiB), {.writable = true});
    const Status written = move(Op::kWrite, memory_, file);
    EXPECT_EQ(written.code(), Code::kExhausted) << written.to_string();
    EXPECT_THAT(written.message(), testing::AllOf(HasSubstr(folder_.path()), HasSubstr("make room")));
    EXPECT_EQ(node()->unregister_memory(file, {}).code(), Code::kOk);
  });
  if (!allowed) GTEST_SKIP() << "mounting a small file system needs root";
}

TEST_P(FileSystems, WriteBeyondTheLimitOfFileSizesIsAnErrorOfThatBatch) {
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto old_handler = std::signal(SIGXFSZ, SIG_IGN);
  const SegmentHandle file = *node()->register_file(sparse(folder_.file("a"), 8 * kMiB), {.writable = true});
  const rlimit small{.rlim_cur = kMiB + 512, .rlim_max = before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  const Status written = move(Op::kWrite, memory_, file);
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
  std::signal(SIGXFSZ, old_handler);
  EXPECT_EQ(written.code(), Code::kExhausted) << written.to_string();
  EXPECT_THAT(written.message(), HasSubstr("ulimit -f"));
  EXPECT_TRUE(move(Op::kWrite, memory_, file).ok());
}

TEST_P(FileSystems, BlockDeviceIsASegmentOfItsSize) {
  const std::string image = sparse(folder_.file("image"), 16 * kMiB);
  const LoopDevice device(image);
  if (!device.valid()) GTEST_SKIP() << "a loop device needs root";
  const SegmentHandle segment = *node()->register_file(device.path(), {.writable = true});
  ASSERT_TRUE(move(Op::kWrite, memory_, segment, 8 * kMiB).ok());
  ASSERT_TRUE(move(Op::kWrite, memory_.first(1000), segment, 77).ok());  // through the page cache
  std::memset(memory_.data(), 0, memory_.size());
  ASSERT_TRUE(move(Op::kRead, memory_, segment, 8 * kMiB).ok());
  EXPECT_EQ(std::memcmp(memory_.data(), noise(8 * kMiB, 1).data(), 8 * kMiB), 0);
  EXPECT_EQ(move(Op::kRead, memory_, segment, 8 * kMiB + 1).code(), Code::kOutOfRange);
  Later<bool> gone;
  ASSERT_TRUE(node()->unregister_memory(segment, [set = gone.setter()] { set(true); }).ok());
  ASSERT_TRUE(gone.get());
  const UniqueFd direct(::open(device.path().c_str(), O_RDWR | O_CLOEXEC));
  ASSERT_EQ(::fsync(direct.get()), 0);
  std::vector<std::byte> small(1000);
  ASSERT_EQ(::pread(direct.get(), small.data(), 1000, 77), 1000);
  EXPECT_EQ(std::memcmp(small.data(), noise(1000, 1).data(), 1000), 0);
}

TEST_P(FileSystems, BlockDeviceThatIsWrittenBelongsToOneRegistration) {
  const std::string image = sparse(folder_.file("image"), 4 * kMiB);
  const LoopDevice device(image);
  if (!device.valid()) GTEST_SKIP() << "a loop device needs root";
  const SegmentHandle segment = *node()->register_file(device.path(), {.writable = true});
  const Status again = node()->register_file(device.path(), {.writable = true}).status();
  EXPECT_EQ(again.code(), Code::kUnavailable) << again.to_string();
  EXPECT_TRUE(node()->register_file(device.path(), {}).ok());
  EXPECT_EQ(node()->register_file(device.path(), {.writable = false, .bytes = 5 * kMiB}).status().code(),
            Code::kInvalidArgument);
  Later<bool> gone;
  ASSERT_TRUE(node()->unregister_memory(segment, [set = gone.setter()] { set(true); }).ok());
  ASSERT_TRUE(gone.get());
  EXPECT_TRUE(node()->register_file(device.path(), {.writable = true}).ok());
}

/// Stops all writes to a file system while it exists.
class Frozen {
 public:
  explicit Frozen(const std::string& path) : root_(::open(path.c_str(), O_RDONLY | O_CLOEXEC)) {
    frozen_ = ::ioctl(root_.get(), FIFREEZE, 0) == 0;
  }
  ~Frozen() { thaw(); }
  [[nodiscard]] bool valid() const { return frozen_; }
  void thaw() {
    if (std::exchange(frozen_, false)) ::ioctl(root_.get(), FITHAW, 0);
  }

 private:
  UniqueFd root_;
  bool frozen_ = false;
};

/// Threads of this process, the kernel's helpers included, that no signal reaches.
int threads_stuck() {
  int stuck = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/task")) {
    std::ifstream in(entry.path() / "stat");
    const std::string line((std::istreambuf_iterator<char>(in)), {});
    if (line.find(") D ") != std::string::npos) ++stuck;
  }
  return stuck;
}

void FileSystems::with_frozen_files(bool by_deadline) {
  const SegmentHandle file = *node()->register_file(folder_.file("a"), {.writable = true, .bytes = memory_.size()});
  Frozen frozen(folder_.path());
  ASSERT_TRUE(frozen.valid());
  Batch batch;
  const Deadline deadline = by_deadline ? in(Seconds(1)) : soon();  // the write is under way by then
  Later<Status> done = submit(Op::kWrite, file, deadline, &batch);
  ASSERT_TRUE(eventually([] { return threads_stuck() > 0; }));
  if (!by_deadline) node()->cancel(batch);
  // The file system does not answer, the engine does; meanwhile the deadline passes.
  const Deadline end = by_deadline ? deadline + Millis(50) : in(Millis(150));
  while (std::chrono::steady_clock::now() < end) EXPECT_TRUE(node().ask(node(), kEcho, "hello").ok());
  Later<bool> gone;
  ASSERT_TRUE(node()->unregister_memory(file, [set = gone.setter()] { set(true); }).ok());
  EXPECT_TRUE(node().ask(node(), kEcho, "hello").ok());
  EXPECT_FALSE(done.ready());
  EXPECT_FALSE(gone.ready());
  frozen.thaw();
  EXPECT_EQ(done.get().code(), by_deadline ? Code::kDeadlineExceeded : Code::kCancelled);
  EXPECT_TRUE(gone.get());
}

TEST_P(FileSystems, StoppedOneHoldsTheMemoryUntilItGoesOnAndNobodyElse) {
  const std::string image = sparse(folder_.file("image"), 32 * kMiB);
  if (std::system(("mkfs.ext4 -q -F " + image + " > /dev/null 2>&1").c_str()) != 0) GTEST_SKIP() << "needs mkfs.ext4";
  const LoopDevice device(image);
  if (!device.valid()) GTEST_SKIP() << "a loop device needs root";
  node().serve_echo(kEcho);
  const bool allowed = with_private_mounts([&] {
    ASSERT_EQ(::mount(device.path().c_str(), folder_.path().c_str(), "ext4", 0, nullptr), 0) << errno_text(errno);
    with_frozen_files(false);
    with_frozen_files(true);
  });
  if (!allowed) GTEST_SKIP() << "mounting a file system needs root";
}

}  // namespace
}  // namespace mooncake::transfer
