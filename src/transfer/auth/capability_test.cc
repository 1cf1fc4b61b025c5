// Capabilities: the mint alone, and between engines on every transport. What is refused touches no byte: the segment
// lies between canary pages, and all of it is compared.
#include "transfer/auth/capability.h"

#include <gtest/gtest.h>

#include "transfer/auth/test_secrets.h"
#include "transfer/fake_peer.h"
#include "transfer/test_node.h"
#include "transfer/test_slowdown.h"

namespace mooncake::transfer {
namespace {

/// On each transport.
constexpr int kHostileCapabilities = 1'000'000 / (kSanitized ? 40 : 1);

constexpr PeerHandle kHolder{7};
constexpr SegmentHandle kSegment{3, 99};

BulkRange range(std::uint64_t offset, std::uint64_t length, std::optional<Capability> capability = {}) {
  return {.segment = kSegment, .offset = offset, .length = length, .capability = capability};
}

TEST(CapabilityMint, GivesWhatWasAskedForAndNoMore) {
  CapabilityMint mint;
  const Capability right = mint.make(range(100, 50), Access::kRead, kHolder);
  EXPECT_TRUE(mint.check(range(100, 50, right), Access::kRead, kHolder).ok());
  EXPECT_TRUE(mint.check(range(149, 1, right), Access::kRead, kHolder).ok());
  EXPECT_TRUE(mint.check(range(150, 0, right), Access::kRead, kHolder).ok());
  for (const BulkRange& wrong : {range(99, 50, right), range(100, 51, right), range(0, 1, right), range(150, 1, right),
                                 range(~0ull, 1, right), range(100, ~0ull, right), range(101, ~0ull - 50, right)}) {
    EXPECT_EQ(mint.check(wrong, Access::kRead, kHolder).code(), Code::kPermissionDenied) << wrong.offset;
  }
  EXPECT_EQ(mint.check(range(100, 50, right), Access::kWrite, kHolder).code(), Code::kPermissionDenied);
  EXPECT_EQ(mint.check(range(100, 50, right), Access::kReadWrite, kHolder).code(), Code::kPermissionDenied);
  EXPECT_EQ(mint.check(range(100, 50, right), Access::kRead, PeerHandle{8}).code(), Code::kPermissionDenied);
  BulkRange later = range(100, 50, right);
  ++later.segment.generation;
  EXPECT_EQ(mint.check(later, Access::kRead, kHolder).code(), Code::kPermissionDenied);
  BulkRange other = range(100, 50, right);
  ++other.segment.index;
  EXPECT_EQ(mint.check(other, Access::kRead, kHolder).code(), Code::kPermissionDenied);
  EXPECT_EQ(CapabilityMint().check(range(100, 50, right), Access::kRead, kHolder).code(), Code::kPermissionDenied);
}

TEST(CapabilityMint, AnyChangedBitIsNoticed) {
  CapabilityMint mint;
  const Capability right = mint.make(range(100, 50), Access::kReadWrite, kHolder);
  for (std::size_t bit = 0; bit < kCapabilityBytes * 8; ++bit) {
    Capability wrong = right;
    wrong.bytes[bit / 8] ^= static_cast<std::byte>(1u << bit % 8);
    EXPECT_EQ(mint.check(range(100, 50, wrong), Access::kRead, kHolder).code(), Code::kPermissionDenied) << bit;
  }
}

TEST(CapabilityMint, StringsOfAnotherSizeAreNone) {
  EXPECT_EQ(Capability::from_string("").status().code(), Code::kCorrupt);
  EXPECT_EQ(Capability::from_string(std::string(57, 'x')).status().code(), Code::kCorrupt);
  const Capability right = CapabilityMint().make(range(1, 2), Access::kRead, kHolder);
  EXPECT_EQ(*Capability::from_string(right.to_string()), right);
}

/// On every way that bytes go, and both with and without keys.
struct Way {
  const char* name;
  bool mac;
  bool shm;
  bool self;
};

class Capabilities : public testing::TestWithParam<Way> {
 protected:
  static constexpr std::size_t kPage = 4096;
  static constexpr std::size_t kBytes = 16 * kPage;  // without the canaries

  Capabilities() {
    if (GetParam().mac) config_ = mac_config(dir_.write("secret", kSecret));
    config_.enable_shm = GetParam().shm;
    owner_ = std::make_unique<TestNode>(config_);
    if (!GetParam().self) other_ = std::make_unique<TestNode>(config_);
    owner_->engine().serve(1, [](PeerHandle, std::string, Responder responder) { responder.reply(std::string()); });
    owner_->engine().serve(2, [this](PeerHandle from, std::string, Responder responder) {
      from_ = from;
      responder.reply(std::string());
    });
    arena_ = noise(kBytes + 2 * kPage, 1);
    before_ = arena_;
    local_ = std::vector<std::byte>(kBytes, std::byte{0xee});
    segment_ = *owner()->register_memory(ByteSpan(arena_).subspan(kPage, kBytes), Access::kNone);
    CHECK(user()->register_memory(local_, Access::kNone).ok());
    CHECK(user().ask(owner(), 2, "").ok());
  }

  TestNode& owner() { return *owner_; }
  TestNode& user() { return other_ ? *other_ : *owner_; }
  Capability grant(std::uint64_t offset, std::uint64_t length, Access access) {
    return *owner()->grant(segment_, offset, length, access, from_);
  }
  Code move(TransferRequest::Op op, std::uint64_t offset, std::size_t length, std::optional<Capability> capability) {
    const TransferRequest request{.op = op,
                                  .local = ByteSpan(local_).first(length),
                                  .segment = segment_,
                                  .offset = offset,
                                  .capability = capability};
    return user()->submit_and_wait(user().peer(owner()), std::span(&request, 1), soon()).code();
  }
  void expect_untouched() {
    EXPECT_TRUE(arena_ == before_);
    EXPECT_TRUE(std::ranges::all_of(local_, [](std::byte b) { return b == std::byte{0xee}; }));
  }

  static constexpr auto kRead = TransferRequest::Op::kRead;
  static constexpr auto kWrite = TransferRequest::Op::kWrite;

  SecretDir dir_;
  TransferConfig config_;
  std::vector<std::byte> arena_;
  std::vector<std::byte> before_;
  std::vector<std::byte> local_;
  SegmentHandle segment_;
  PeerHandle from_;  // the user, as the owner names it
  std::unique_ptr<TestNode> owner_;
  std::unique_ptr<TestNode> other_;
};

TEST_P(Capabilities, OpenMemoryThatIsClosedToAllOthers) {
  EXPECT_EQ(move(kRead, kPage, kPage, {}), Code::kPermissionDenied);
  expect_untouched();
  EXPECT_EQ(move(kRead, kPage, kPage, grant(kPage, kPage, Access::kRead)), Code::kOk);
  EXPECT_EQ(0, std::memcmp(local_.data(), before_.data() + 2 * kPage, kPage));
  EXPECT_EQ(move(kWrite, 0, 2 * kPage, grant(0, 2 * kPage, Access::kWrite)), Code::kOk);
  EXPECT_EQ(0, std::memcmp(local_.data(), arena_.data() + kPage, 2 * kPage));
  EXPECT_EQ(0, std::memcmp(before_.data() + 3 * kPage, arena_.data() + 3 * kPage, arena_.size() - 3 * kPage));
  EXPECT_EQ(0, std::memcmp(before_.data(), arena_.data(), kPage));
}

TEST_P(Capabilities, GiveNoMoreThanWasGranted) {
  EXPECT_EQ(move(kWrite, kPage, kPage, grant(kPage, kPage, Access::kRead)), Code::kPermissionDenied);
  EXPECT_EQ(move(kRead, kPage, kPage, grant(kPage, kPage, Access::kWrite)), Code::kPermissionDenied);
  EXPECT_EQ(move(kRead, kPage, kPage + 1, grant(kPage, kPage, Access::kRead)), Code::kPermissionDenied);
  EXPECT_EQ(move(kRead, kPage - 1, kPage, grant(kPage, kPage, Access::kRead)), Code::kPermissionDenied);
  EXPECT_EQ(move(kRead, ~0ull - 1, 2, grant(kPage, kPage, Access::kRead)), Code::kOutOfRange);  // before it is sent
  const Capability for_another = *owner()->grant(segment_, 0, kPage, Access::kReadWrite, PeerHandle{from_.value + 1});
  EXPECT_EQ(move(kWrite, 0, kPage, for_another), Code::kPermissionDenied);
  expect_untouched();
}

TEST_P(Capabilities, AreCheckedEvenWhereTheSegmentIsOpen) {
  const SegmentHandle open = *owner()->register_memory(ByteSpan(arena_).subspan(kPage, kBytes), Access::kReadWrite);
  const Capability closed = grant(0, kPage, Access::kRead);
  segment_ = open;
  EXPECT_EQ(move(kRead, 0, kPage, closed), Code::kPermissionDenied);
  expect_untouched();
}

TEST_P(Capabilities, EndWithTheRegistration) {
  const Capability right = grant(0, kBytes, Access::kReadWrite);
  Later<bool> done;
  ASSERT_TRUE(owner()->unregister_memory(segment_, [set = done.setter()] { set(true); }).ok());
  EXPECT_TRUE(done.get());
  EXPECT_EQ(move(kWrite, 0, kPage, right), Code::kStale);
  segment_ = *owner()->register_memory(ByteSpan(arena_).subspan(kPage, kBytes), Access::kNone);
  EXPECT_EQ(move(kWrite, 0, kPage, right), Code::kPermissionDenied);
  expect_untouched();
}

TEST_P(Capabilities, AreGrantedOnlyForWhatThereIs) {
  EXPECT_EQ(owner()->grant(segment_, 0, kBytes + 1, Access::kRead, from_).status().code(), Code::kOutOfRange);
  EXPECT_EQ(owner()->grant(segment_, ~0ull, 2, Access::kRead, from_).status().code(), Code::kOutOfRange);
  EXPECT_EQ(owner()->grant(segment_, 0, 0, Access::kRead, from_).status().code(), Code::kInvalidArgument);
  EXPECT_EQ(owner()->grant(segment_, 0, 1, Access::kNone, from_).status().code(), Code::kInvalidArgument);
  EXPECT_EQ(owner()->grant(segment_, 0, 1, Access::kRead, {}).status().code(), Code::kInvalidArgument);
  EXPECT_EQ(owner()->grant({9, 9}, 0, 1, Access::kRead, from_).status().code(), Code::kStale);
}

/// A right that is changed at random, or asked to give what it does not: bits flipped, fields swapped for others of
/// interest, ranges that begin before it, end after it or wrap around.
TEST_P(Capabilities, HostileOnesTouchNoByte) {
  Rng rng(11);
  const Capability right = grant(kPage, 4 * kPage, Access::kRead);
  constexpr int kTogether = 64;
  for (int round = 0; round < kHostileCapabilities / kTogether; ++round) {
    std::vector<Later<Status>> ends(kTogether);
    for (Later<Status>& end : ends) {
      TransferRequest request{.op = rng.below(2) == 0 ? kRead : kWrite,
                              .local = ByteSpan(local_).first(1 + rng.below(kPage)),
                              .segment = segment_,
                              .offset = rng.below(kBytes),
                              .capability = right};
      std::array<std::byte, kCapabilityBytes>& bytes = request.capability->bytes;
      switch (rng.below(4)) {
        case 0:
          bytes[rng.below(bytes.size())] ^= static_cast<std::byte>(1 + rng.below(255));
          break;
        case 1:
          store_le(bytes.data() + 8 * rng.below(7), rng.below(2) == 0 ? ~0ull : rng.next());
          break;
        case 2:
          request.op = kWrite;  // it is for reading
          break;
        default:
          request.op = kRead;  // outside of it
          request.offset = rng.below(2) == 0 ? rng.below(kPage) : 5 * kPage + rng.below(kBytes);
          break;
      }
      user()->submit(user().peer(owner()), std::span(&request, 1), soon(), std::nullopt, end.setter());
    }
    for (Later<Status>& end : ends) {
      const Status status = end.get();
      ASSERT_EQ(status.code(), Code::kPermissionDenied) << status.to_string();
    }
  }
  expect_untouched();
  EXPECT_EQ(move(kRead, kPage, kPage, right), Code::kOk);  // and the peer lives
}

INSTANTIATE_TEST_SUITE_P(, Capabilities,
                         testing::Values(Way{"mem", false, false, true}, Way{"tcp", false, false, false},
                                         Way{"shm", false, true, false}, Way{"mac_tcp", true, false, false},
                                         Way{"mac_shm", true, true, false}),
                         [](const auto& way) { return std::string(way.param.name); });

}  // namespace
}  // namespace mooncake::transfer
