// A decode worker against prefill workers that the test plays by hand: peers that die, lie, or come late.
#include <gtest/gtest.h>

#include "base/crc32c.h"
#include "serve/worker/test_cluster.h"

namespace mooncake::serve {
namespace {

constexpr std::uint64_t kBlock = engine::simulated::kBlockBytes;
/// Of 1 MiB, a quarter at most holds blocks that are published: 768 KiB to land in, 48 blocks.
constexpr std::uint64_t kArena = 1u << 20;
constexpr std::uint32_t kArenaTokens = 48 * 64;

/// Plays the prefill worker's side of the protocol.
class HandPrefill : public TestProcess {
 public:
  explicit HandPrefill(const std::string& name) : TestProcess(name) {
    memory_ = transfer().allocate_shared(kArena).value();
    CHECK(transfer().register_memory(memory_, transfer::Access::kNone).ok());
    loop().start();
  }

  std::future<Result<pb::ReserveReply>> reserve(const std::string& decode, const pb::ReserveRequest& request) {
    auto promise = std::make_shared<std::promise<Result<pb::ReserveReply>>>();
    auto future = promise->get_future();
    transfer().call(transfer().connect(decode).value(), kMethodReserve, request.SerializeAsString(), test_deadline(),
                    [promise](Result<std::string> reply) {
                      if (!reply.ok()) return promise->set_value(reply.status());
                      pb::ReserveReply parsed;
                      CHECK(parsed.ParseFromString(*reply));
                      promise->set_value(parsed);
                    });
    return future;
  }
  Status write(const std::string& decode, const pb::ReserveReply& landing, std::uint64_t bytes) {
    const transfer::TransferRequest request{transfer::TransferRequest::Op::kWrite,
                                            memory_.first(bytes),
                                            {landing.segment_index(), landing.segment_generation()},
                                            0};
    return transfer().submit_and_wait(transfer().connect(decode).value(), {&request, 1}, test_deadline());
  }
  [[nodiscard]] ByteSpan memory() const { return memory_; }

 private:
  ByteSpan memory_;
};

class LandingProtocol : public ::testing::Test {
 protected:
  pb::ReserveRequest reservation(const std::string& id, std::uint32_t tokens) {
    pb::ReserveRequest request;
    request.set_request_id(id);
    request.set_prompt_tokens(tokens);
    request.set_tokens_max(10);
    request.set_deadline_ms(60'000);
    request.set_model(engine::simulated::kv_layout().model.to_string());
    return request;
  }
  pb::JoinRequest joining(const std::string& id, const std::vector<engine::Token>& prompt, engine::Token first_token,
                          const std::vector<std::uint32_t>& crcs) {
    pb::JoinRequest request;
    request.set_request_id(id);
    for (const engine::Token token : prompt) request.add_tokens(static_cast<std::uint32_t>(token));
    request.mutable_sampling()->set_tokens_max(10);
    request.mutable_sampling()->set_top_p(1);
    request.set_gateway(gateway_.endpoint());
    request.set_first_token(static_cast<std::uint32_t>(first_token));
    for (const std::uint32_t crc : crcs) request.add_block_crc32c(crc);
    request.set_deadline_ms(60'000);
    return request;
  }
  /// Computes the prompt into `target`, as a prefill worker would. @return checksums.
  static std::vector<std::uint32_t> compute(const std::vector<engine::Token>& prompt, ByteSpan target) {
    engine::simulated::SimulatedEngine engine({.kind = "simulated",
                                               .model_path = "",
                                               .threads = 1,
                                               .sequences_max = 1,
                                               .context_tokens = 4096,
                                               .chunk_tokens = 4096},
                                              {Nanos{0}, Nanos{0}});
    const auto sequence = engine.open(4096).value();
    const engine::WorkItem item{sequence, 0, prompt, false};
    engine::Output output;
    CHECK(engine.step({&item, 1}, {&output, 1}).ok());
    std::vector<std::uint32_t> crcs;
    for (std::uint32_t i = 0; i * 64 < prompt.size(); ++i) {
      CHECK(engine.export_block(sequence, i, target.subspan(i * kBlock, kBlock)).ok());
      crcs.push_back(crc32c(target.subspan(i * kBlock, kBlock)));
    }
    return crcs;
  }

  MapStore store_;
  TestGateway gateway_;
  TestWorker decode_{{.role = WorkerRole::kDecode, .name = "decode-0", .arena_bytes = kArena}, store_};
  HandPrefill prefill_{"prefill-0"};
};

TEST_F(LandingProtocol, AReservationThatIsHereAlreadyIsRefusedAndTheFirstStands) {
  ASSERT_TRUE(prefill_.reserve(decode_.endpoint(), reservation("r1", 64)).get().ok());
  EXPECT_EQ(prefill_.reserve(decode_.endpoint(), reservation("r1", 64)).get().status().code(), Code::kAlreadyExists);
  EXPECT_EQ(gateway_.stats(decode_.endpoint()).queued_requests(), 0u);
  EXPECT_TRUE(prefill_.reserve(decode_.endpoint(), reservation("r2", 64)).get().ok());
}

TEST_F(LandingProtocol, ReservationsWaitForRoomInOrder) {
  const auto first = prefill_.reserve(decode_.endpoint(), reservation("r1", kArenaTokens - 64)).get();
  ASSERT_TRUE(first.ok()) << first.status().to_string();
  auto large = prefill_.reserve(decode_.endpoint(), reservation("r2", kArenaTokens - 64));
  auto small = prefill_.reserve(decode_.endpoint(), reservation("r3", 10));
  gateway_.stats(decode_.endpoint());  // answered behind the reservations
  EXPECT_EQ(small.wait_for(Seconds(0)), std::future_status::timeout) << "nobody overtakes";
  gateway_.cancel(decode_.endpoint(), "r1");
  EXPECT_TRUE(large.get().ok());
  EXPECT_TRUE(small.get().ok());
}

TEST_F(LandingProtocol, APrefillWorkerThatDiesBeforeTheJoinGivesItsLandingAreaBack) {
  auto dying = std::make_unique<HandPrefill>("prefill-dying");
  ASSERT_TRUE(dying->reserve(decode_.endpoint(), reservation("r1", kArenaTokens)).get().ok());
  auto waiting = prefill_.reserve(decode_.endpoint(), reservation("r2", kArenaTokens));
  gateway_.stats(decode_.endpoint());
  EXPECT_EQ(waiting.wait_for(Seconds(0)), std::future_status::timeout);
  dying.reset();
  EXPECT_TRUE(waiting.get().ok());
}

TEST_F(LandingProtocol, AReservationEndsAtItsDeadline) {
  auto request = reservation("r1", kArenaTokens);
  request.set_deadline_ms(1);
  static_cast<void>(prefill_.reserve(decode_.endpoint(), request).get().ok());  // granted or already late
  EXPECT_TRUE(prefill_.reserve(decode_.endpoint(), reservation("r2", kArenaTokens)).get().ok());
}

TEST_F(LandingProtocol, ALateWriteMeetsAStaleSegmentAndTouchesNothing) {
  const auto old = prefill_.reserve(decode_.endpoint(), reservation("r1", 640)).get();
  ASSERT_TRUE(old.ok());
  gateway_.cancel(decode_.endpoint(), "r1");
  const auto prompt = test_prompt(640, 1);
  const auto fresh = prefill_.reserve(decode_.endpoint(), reservation("r2", 640)).get();
  ASSERT_TRUE(fresh.ok());
  const auto crcs = compute(prompt, prefill_.memory());
  ASSERT_TRUE(prefill_.write(decode_.endpoint(), *fresh, 10 * kBlock).ok());
  std::fill(prefill_.memory().begin(), prefill_.memory().end(), std::byte{7});
  EXPECT_EQ(prefill_.write(decode_.endpoint(), *old, 10 * kBlock).code(), Code::kStale);
  const auto expected = reference_answer(prompt, joining("r2", prompt, 0, crcs).sampling());
  const auto joined =
      prefill_.call(decode_.endpoint(), kMethodJoin, joining("r2", prompt, expected[0], crcs).SerializeAsString());
  ASSERT_TRUE(joined.ok()) << joined.status().to_string();
  const TestAnswer answer = gateway_.await("r2");
  EXPECT_TRUE(std::equal(answer.tokens.begin(), answer.tokens.end(), expected.begin() + 1, expected.end()));
}

TEST_F(LandingProtocol, AWrongChecksumFailsTheJoinAndFreesTheMemory) {
  const auto landing = prefill_.reserve(decode_.endpoint(), reservation("r1", kArenaTokens)).get();
  ASSERT_TRUE(landing.ok());
  const auto prompt = test_prompt(kArenaTokens, 1);
  auto crcs = compute(prompt, prefill_.memory());
  ASSERT_TRUE(prefill_.write(decode_.endpoint(), *landing, crcs.size() * kBlock).ok());
  crcs[17] ^= 1;
  const auto joined =
      prefill_.call(decode_.endpoint(), kMethodJoin, joining("r1", prompt, 40, crcs).SerializeAsString());
  EXPECT_EQ(joined.status().code(), Code::kCorrupt);
  EXPECT_TRUE(prefill_.reserve(decode_.endpoint(), reservation("r2", kArenaTokens)).get().ok());
}

TEST_F(LandingProtocol, KVCacheOfAnotherModelFailsOnlyItsRequest) {
  const auto landing = prefill_.reserve(decode_.endpoint(), reservation("r1", 64)).get();
  ASSERT_TRUE(landing.ok());
  std::fill(prefill_.memory().begin(), prefill_.memory().end(), std::byte{7});
  ASSERT_TRUE(prefill_.write(decode_.endpoint(), *landing, kBlock).ok());
  const std::vector<std::uint32_t> crcs{crc32c(prefill_.memory().first(kBlock))};
  ASSERT_TRUE(
      prefill_.call(decode_.endpoint(), kMethodJoin, joining("r1", test_prompt(64, 1), 40, crcs).SerializeAsString())
          .ok())
      << "what arrived is what was sent";
  const TestAnswer answer = gateway_.await("r1");
  EXPECT_EQ(answer.finish, pb::FINISH_ERROR);
  EXPECT_EQ(answer.error, Code::kCorrupt);
}

TEST_F(LandingProtocol, AJoinWithoutAReservationOfTheSameWorkerIsRefused) {
  const auto prompt = test_prompt(64, 1);
  const std::string join = joining("r1", prompt, 40, {1}).SerializeAsString();
  EXPECT_EQ(prefill_.call(decode_.endpoint(), kMethodJoin, join).status().code(), Code::kNotFound);
  ASSERT_TRUE(prefill_.reserve(decode_.endpoint(), reservation("r1", 64)).get().ok());
  HandPrefill other("prefill-1");
  EXPECT_EQ(other.call(decode_.endpoint(), kMethodJoin, join).status().code(), Code::kNotFound);
}

TEST_F(LandingProtocol, WhatCanNeverFitIsRefusedAtOnce) {
  EXPECT_EQ(prefill_.reserve(decode_.endpoint(), reservation("r1", kArenaTokens + 65)).get().status().code(),
            Code::kOutOfRange);
  auto foreign = reservation("r1", 10);
  foreign.set_model("another");
  EXPECT_EQ(prefill_.reserve(decode_.endpoint(), foreign).get().status().code(), Code::kUnsupported);
  EXPECT_EQ(prefill_.call(decode_.endpoint(), kMethodReserve, "\xff\xff").status().code(), Code::kInvalidArgument);
}

}  // namespace
}  // namespace mooncake::serve
