// The owner's side against an opener that is driven by hand, through real queue pairs of one soft-RoCE port: what a
// grant opens, and that nothing else can be touched, before, during and after. With memory windows and without.
#include "transfer/rdma/grant_server.h"

#include <gtest/gtest.h>

#include "transfer/rdma/opened_endpoint.h"
#include "transfer/rdma/test_rdma.h"
#include "transfer/test_node.h"

namespace mooncake::transfer {
namespace {

constexpr std::size_t kBytes = 64u << 10;
constexpr std::size_t kEdge = 4096;  // on both sides of the segment
constexpr std::uint64_t kEndpoint = 1;
using Op = TransferRequest::Op;

/// A device without memory windows.
Result<const Verbs*> without_windows() {
  static Verbs verbs = **load_verbs();
  verbs.query_device = [](ibv_context* context, ibv_device_attr* attributes) {
    const int error = (*load_verbs())->query_device(context, attributes);
    attributes->max_mw = 0;
    return error;
  };
  return &verbs;
}

struct Said {
  RdmaFrame frame;
  std::uint64_t id;
  Status status;
  std::string payload;
  bool other_transport;
};

/// An opener's end, and what it was told.
struct Opener {
  std::unique_ptr<OpenedEndpoint> endpoint;
  RdmaEnd end;
  std::vector<std::uint64_t> moved;
  std::optional<Status> failed;
};

class Grants : public testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
    if (!has_soft_roce()) GTEST_SKIP() << kNoRdma;
    context_ = std::make_unique<Context>(TransferConfig{}, nullptr, 7);
    context_->loop->start();
    host_ = *RdmaHost::open("rxe1", context_->segments, context_->pools, GetParam() ? load_verbs : without_windows);
    far_host_ = *RdmaHost::open("rxe1", far_segments_, far_pools_);
    std::memset(memory_.data(), 0xee, memory_.size());
    segment_ = *context_->segments.add(ByteSpan(memory_).subspan(kEdge, kBytes), MemoryKind::kHost, Access::kReadWrite);
    near_ = noise(kBytes, 5);
    far_segments_.add(near_, MemoryKind::kHost, Access::kNone).value();
    on_loop([this] {
      host_->start(*context_->loop);
      far_host_->start(*context_->loop);
      server_ = std::make_unique<GrantServer>(
          *context_, *host_, PeerHandle{1}, "opener",
          [this](RdmaFrame frame, std::uint64_t id, Code code, const std::string& payload, std::uint16_t flags) {
            const bool text = frame == RdmaFrame::kDone || frame == RdmaFrame::kBroken;
            said_.push_back({frame, id, text && code != Code::kOk ? Status(code, payload) : Status(), payload,
                             flags == kFlagOtherTransport});
          });
    });
  }
  void TearDown() override {
    if (!context_) return;
    on_loop([this] {
      openers_.clear();
      server_->close();
      host_->close();
      far_host_->close();
    });
    context_->loop->stop();
    context_->loop->join();
    server_.reset();
  }

  void on_loop(const std::function<void()>& task) {
    std::promise<void> done;
    context_->loop->post([&] {
      task();
      done.set_value();
    });
    done.get_future().wait();
  }
  bool eventually_on_loop(const std::function<bool()>& condition) {
    return eventually([&] {
      bool holds = false;
      on_loop([&] { holds = condition(); });
      return holds;
    });
  }
  /// What the server said of `id` in frames of that kind, once it has.
  Said said(RdmaFrame frame, std::uint64_t id) {
    std::optional<Said> found;
    EXPECT_TRUE(eventually_on_loop([&] {
      for (const Said& each : said_) {
        if (each.frame == frame && each.id == id) found = each;
      }
      return found.has_value();
    })) << "nothing was said of "
        << id;
    return *found;
  }

  /// An endpoint whose opener can do packets of `mtu`.
  Opener& open(std::uint64_t id = kEndpoint, std::uint8_t mtu = IBV_MTU_4096) {
    Opener& opener = openers_[id];
    on_loop([&] {
      opener.endpoint = std::make_unique<OpenedEndpoint>(
          *far_host_, *context_->loop, RailId{0},
          OpenedEndpoint::Hooks{.moved = [&opener](std::uint64_t slice) { opener.moved.push_back(slice); },
                                .failed = [&opener](const Status& why) { opener.failed = why; }});
      opener.end = *opener.endpoint->open(far_host_->ports()[0]);
      opener.end.address.mtu = mtu;
      EXPECT_TRUE(server_->on_open(id, as_bytes(encode_rdma_open({.opener = opener.end, .port = 0}))).ok());
    });
    const RdmaEnd end = *decode_rdma_end(as_bytes(said(RdmaFrame::kOpened, id).payload));
    EXPECT_EQ(end.address.mtu, mtu);
    on_loop([&] { EXPECT_TRUE(opener.endpoint->connect(end).ok()); });
    return opener;
  }

  void ask(std::uint64_t slice, Op op, std::uint64_t offset, std::uint64_t length, std::uint64_t endpoint = kEndpoint) {
    const RdmaGrant grant{.range = {.segment = segment_, .offset = offset, .length = length}, .endpoint = endpoint};
    on_loop([&] { EXPECT_TRUE(server_->on_grant(slice, op == Op::kWrite, as_bytes(encode_rdma_grant(grant))).ok()); });
  }
  RdmaGranted granted(std::uint64_t slice, Op op, std::uint64_t offset, std::uint64_t length,
                      std::uint64_t endpoint = kEndpoint) {
    ask(slice, op, offset, length, endpoint);
    return *decode_rdma_granted(as_bytes(said(RdmaFrame::kGranted, slice).payload));
  }
  void move(Opener& opener, std::uint64_t slice, Op op, std::size_t length, const RdmaGranted& granted) {
    on_loop([&] {
      const RegistrationPtr registration = *far_host_->registration(*far_host_->ports()[0].device, near_);
      opener.endpoint->move(slice, {.op = op, .local = ByteSpan(near_).first(length), .remote = {}}, *registration,
                            granted);
    });
  }
  bool has_moved(Opener& opener, std::uint64_t slice) {
    return eventually_on_loop([&] { return std::ranges::find(opener.moved, slice) != opener.moved.end(); });
  }
  Status failure(Opener& opener) {
    EXPECT_TRUE(eventually_on_loop([&] { return opener.failed.has_value(); }));
    return opener.failed.value_or(Status());
  }
  /// Unregisters the segment, as the engine does. Ready once nothing touches it.
  Later<bool> unregister() {
    Later<bool> gone;
    EXPECT_TRUE(context_->segments.revoke(segment_, [set = gone.setter()] { set(true); }).ok());
    on_loop([this] { server_->revoke(segment_); });
    return gone;
  }
  /// No byte of the segment or beside it was written.
  bool untouched() {
    return std::ranges::all_of(memory_, [](std::byte b) { return b == std::byte{0xee}; });
  }

  std::vector<std::byte> memory_ = std::vector<std::byte>(kBytes + 2 * kEdge);
  std::vector<std::byte> near_;
  std::unique_ptr<Context> context_;
  SegmentTable far_segments_{9};
  PoolSet far_pools_;
  SegmentHandle segment_;
  std::unique_ptr<RdmaHost> host_;
  std::unique_ptr<RdmaHost> far_host_;
  std::unique_ptr<GrantServer> server_;
  std::vector<Said> said_;  // on the loop
  std::map<std::uint64_t, Opener> openers_;
};

INSTANTIATE_TEST_SUITE_P(Device, Grants, testing::Bool(), [](const testing::TestParamInfo<bool>& windows) {
  return windows.param ? "Windows" : "NoWindows";
});

TEST_P(Grants, WriteIsDoneWhenItsBytesAreInPlaceAndNothingElseChanges) {
  Opener& opener = open();
  move(opener, 1, Op::kWrite, 1000, granted(1, Op::kWrite, 50, 1000));
  EXPECT_TRUE(said(RdmaFrame::kDone, 1).status.ok());
  EXPECT_TRUE(std::ranges::equal(std::span(memory_).subspan(kEdge + 50, 1000), std::span(near_).first(1000)));
  std::memset(memory_.data() + kEdge + 50, 0xee, 1000);
  EXPECT_TRUE(untouched());
  EXPECT_TRUE(has_moved(opener, 1));
  EXPECT_TRUE(unregister().get());
}

TEST_P(Grants, ReadHoldsTheSegmentUntilItsTicketComes) {
  Opener& opener = open();
  const RdmaGranted grant = granted(1, Op::kRead, 0, kBytes);
  move(opener, 1, Op::kRead, kBytes, grant);
  EXPECT_TRUE(has_moved(opener, 1));
  EXPECT_TRUE(std::ranges::all_of(near_, [](std::byte b) { return b == std::byte{0xee}; }));
  on_loop([&] { opener.endpoint->give_back(grant, true); });
  EXPECT_TRUE(eventually([&] {
    const std::vector<TransferStats> rows = context_->stats.paths.rows();
    return rows.size() == 1 && rows[0].bytes_sent == kBytes && rows[0].transport == "rdma";
  }));
  EXPECT_TRUE(unregister().get());
}

TEST_P(Grants, RevokedGrantLetsGoAtOnceAndLateOperationsTouchNothing) {
  Opener& opener = open();
  const RdmaGranted write = granted(1, Op::kWrite, 0, kBytes);
  const RdmaGranted read = granted(2, Op::kRead, 0, kBytes);
  EXPECT_TRUE(unregister().get()) << "with no word of the opener";
  EXPECT_EQ(said(RdmaFrame::kDone, 1).status.code(), Code::kStale);
  EXPECT_EQ(said(RdmaFrame::kDone, 2).status.code(), Code::kStale);
  const std::vector<std::byte> before = near_;
  move(opener, 1, Op::kWrite, kBytes, write);
  move(opener, 2, Op::kRead, kBytes, read);
  // The device says so if it has the queue pair still; else nobody answers, and the path is given up.
  EXPECT_EQ(failure(opener).code(), GetParam() ? Code::kStale : Code::kUnavailable);
  EXPECT_TRUE(untouched());
  EXPECT_EQ(near_, before);
}

TEST_P(Grants, KeyOfAnOperationThatIsOverOpensNothing) {
  if (!GetParam()) GTEST_SKIP() << "without windows all registered memory is open, to trusted peers";
  Opener& opener = open();
  const RdmaGranted old = granted(1, Op::kWrite, 0, 1000);
  move(opener, 1, Op::kWrite, 1000, old);
  EXPECT_TRUE(said(RdmaFrame::kDone, 1).status.ok());
  std::memset(memory_.data() + kEdge, 0xee, 1000);
  const RdmaGranted now = granted(2, Op::kWrite, 0, 1000);  // the same window, bound again
  EXPECT_NE(now.key, old.key);
  move(opener, 3, Op::kWrite, 1000, old);
  EXPECT_EQ(failure(opener).code(), Code::kStale);
  EXPECT_TRUE(untouched());
}

TEST_P(Grants, OperationsOutsideTheSegmentAreRefusedByTheDevice) {
  // Inside the segment, beside the granted range, hardware checks the window's bounds; soft-RoCE those of the memory.
  struct Try {
    Op op;
    std::uint64_t offset;
    std::uint64_t before;
    std::size_t length;
  };
  std::uint64_t id = 0;
  for (const Try& wrong : {Try{Op::kWrite, 0, 1, 1000}, Try{Op::kWrite, kBytes - 1000, 0, 1001},
                           Try{Op::kRead, 0, 1, 1000}, Try{Op::kRead, kBytes - 1000, 0, 1001}}) {
    Opener& opener = open(++id);
    const std::vector<std::byte> before = near_;
    RdmaGranted grant = granted(id, wrong.op, wrong.offset, 1000, id);
    grant.address -= wrong.before;
    move(opener, id, wrong.op, wrong.length, grant);
    EXPECT_EQ(failure(opener).code(), Code::kStale) << id;
    EXPECT_TRUE(untouched()) << id;
    EXPECT_EQ(near_, before) << id;
  }
}

TEST_P(Grants, OneRightIsNotTheOther) {
  if (!GetParam()) GTEST_SKIP() << "without windows all registered memory is open, to trusted peers";
  std::uint64_t id = 0;
  for (const auto& [asked, done] : {std::pair{Op::kRead, Op::kWrite}, std::pair{Op::kWrite, Op::kRead}}) {
    Opener& opener = open(++id);
    const std::vector<std::byte> before = near_;
    move(opener, id, done, 1000, granted(id, asked, 0, 1000, id));
    EXPECT_EQ(failure(opener).code(), Code::kStale) << id;
    EXPECT_TRUE(untouched()) << id;
    EXPECT_EQ(near_, before) << id;
  }
}

TEST_P(Grants, KeyIsUselessOnAnotherEndpoint) {
  if (!GetParam()) GTEST_SKIP() << "without windows all registered memory is open, to trusted peers";
  open(1);
  Opener& other = open(2);
  move(other, 1, Op::kWrite, 1000, granted(1, Op::kWrite, 0, 1000, 1));
  EXPECT_EQ(failure(other).code(), Code::kStale);
  EXPECT_TRUE(untouched());
}

TEST_P(Grants, GivenBackGrantIsNoWrite) {
  Opener& opener = open();
  const RdmaGranted grant = granted(1, Op::kWrite, 0, kBytes);
  on_loop([&] { opener.endpoint->give_back(grant, false); });
  Later<bool> gone;
  // Not revoked: only the ticket can let go of the segment.
  EXPECT_TRUE(context_->segments.revoke(segment_, [set = gone.setter()] { set(true); }).ok());
  EXPECT_TRUE(gone.get());
  EXPECT_TRUE(context_->stats.paths.rows().empty());
}

TEST_P(Grants, ClosedEndpointEndsItsGrantsSoThatTheyMayGoAnotherWay) {
  Opener& opener = open();
  const RdmaGranted grant = granted(1, Op::kWrite, 0, kBytes);
  on_loop([&] { EXPECT_TRUE(server_->on_close(kEndpoint).ok()); });
  EXPECT_EQ(said(RdmaFrame::kDone, 1).status.code(), Code::kUnavailable);
  EXPECT_FALSE(said(RdmaFrame::kDone, 1).other_transport);
  move(opener, 1, Op::kWrite, kBytes, grant);
  EXPECT_FALSE(failure(opener).ok());
  EXPECT_TRUE(untouched());
  ask(2, Op::kWrite, 0, kBytes);
  EXPECT_EQ(said(RdmaFrame::kDone, 2).status.code(), Code::kUnavailable);
  EXPECT_TRUE(unregister().get());
}

TEST_P(Grants, SmallerMtuOfTheTwoIsUsed) {
  for (const std::uint8_t mtu : {IBV_MTU_256, IBV_MTU_1024, IBV_MTU_4096}) {
    Opener& opener = open(mtu, mtu);
    const std::uint64_t before = packets_sent(1);
    move(opener, mtu, Op::kWrite, kBytes, granted(mtu, Op::kWrite, 0, kBytes, mtu));
    EXPECT_TRUE(said(RdmaFrame::kDone, mtu).status.ok());
    EXPECT_TRUE(std::ranges::equal(std::span(memory_).subspan(kEdge, kBytes), near_));
    const std::uint64_t packets = packets_sent(1) - before;
    const std::uint64_t needed = kBytes / (std::uint64_t{128} << mtu);  // 1 means 256
    EXPECT_GE(packets, needed);
    EXPECT_LE(packets, 2 * needed + 8) << "acknowledgements are packets, too";
    std::memset(memory_.data() + kEdge, 0xee, kBytes);
  }
}

TEST_P(Grants, AreLimitedAndTheRestGoesAnotherWay) {
  open();
  for (std::uint64_t slice = 1; slice <= kEndpointSlicesMax; ++slice) granted(slice, Op::kRead, slice, 1);
  ask(99, Op::kRead, 0, 1);
  EXPECT_EQ(said(RdmaFrame::kDone, 99).status.code(), Code::kExhausted);
  EXPECT_TRUE(said(RdmaFrame::kDone, 99).other_transport);
  EXPECT_TRUE(unregister().get());
}

TEST_P(Grants, TicketThatWasNotGivenEndsTheEndpoint) {
  Opener& opener = open();
  on_loop([&] { opener.endpoint->give_back({.address = 0, .key = 0, .ticket = 77}, true); });
  EXPECT_EQ(said(RdmaFrame::kBroken, kEndpoint).status.code(), Code::kCorrupt);
  EXPECT_TRUE(untouched());
}

TEST_P(Grants, OpeningTwiceOrOnNoPortIsAReasonToPart) {
  Opener& opener = open();
  on_loop([&] {
    const std::string again = encode_rdma_open({.opener = opener.end, .port = 0});
    const std::string nowhere = encode_rdma_open({.opener = opener.end, .port = 1});
    EXPECT_EQ(server_->on_open(kEndpoint, as_bytes(again)).code(), Code::kCorrupt);
    EXPECT_EQ(server_->on_open(2, as_bytes(nowhere)).code(), Code::kCorrupt);
    EXPECT_EQ(server_->on_grant(1, true, as_bytes(encode_rdma_end(opener.end))).code(), Code::kCorrupt);
  });
}

}  // namespace
}  // namespace mooncake::transfer
