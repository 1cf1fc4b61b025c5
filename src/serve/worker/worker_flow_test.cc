// Whole requests through real prefill and decode workers in one process, against a reference that has no cluster. The
// simulated engine's answers depend on every byte of KVCache, so equal answers mean that every block arrived.
#include <gtest/gtest.h>

#include <atomic>

#include "kvcache/chunk_plan.h"
#include "serve/messages.h"
#include "serve/worker/test_cluster.h"

namespace mooncake::serve {
namespace {

using engine::simulated::SimulatedTimes;

class WorkerFlow : public ::testing::Test {
 protected:
  std::unique_ptr<TestWorker> worker(WorkerRole role, const std::string& name,
                                     SimulatedTimes times = {Nanos{0}, Nanos{0}}, std::uint32_t sequences_max = 8,
                                     std::uint64_t arena_bytes = 64ull << 20) {
    auto worker = std::make_unique<TestWorker>(
        TestWorkerConfig{
            .role = role, .name = name, .sequences_max = sequences_max, .arena_bytes = arena_bytes, .times = times},
        store_);
    if (model_.empty()) model_ = gateway_.stats(worker->endpoint()).model();
    return worker;
  }

  /// A greedy request over both workers.
  pb::PrefillRequest request(const std::string& id, const std::vector<engine::Token>& prompt, std::uint32_t tokens_max,
                             const TestWorker& decode) {
    pb::PrefillRequest request;
    request.set_request_id(id);
    for (const engine::Token token : prompt) request.add_tokens(static_cast<std::uint32_t>(token));
    request.mutable_sampling()->set_tokens_max(tokens_max);
    request.mutable_sampling()->set_top_p(1);
    request.set_gateway(gateway_.endpoint());
    request.set_decode(decode.endpoint());
    request.set_deadline_ms(60'000);
    request.set_model(model_);
    return request;
  }

  static pb::PrefillReply reply_of(std::future<Result<std::string>> future) {
    auto reply = future.get();
    EXPECT_TRUE(reply.ok()) << reply.status().to_string();
    pb::PrefillReply parsed;
    if (reply.ok()) CHECK(parsed.ParseFromString(*reply));
    return parsed;
  }

  /// Waits until the worker holds nothing.
  void await_idle(const TestWorker& worker) {
    const Deadline deadline = test_deadline();
    for (;;) {
      const pb::StatsReply stats = gateway_.stats(worker.endpoint());
      if (stats.running_requests() == 0 && stats.queued_requests() == 0 && stats.kv_tokens_used() == 0) return;
      ASSERT_LT(SteadyClock().now(), deadline);
    }
  }

  MapStore store_;
  TestGateway gateway_;
  std::string model_;
};

TEST_F(WorkerFlow, AnswersEqualOneProcessColdAndWarmForAllShapesOfPrompts) {
  const auto prefill0 = worker(WorkerRole::kPrefill, "prefill-0");
  const auto prefill1 = worker(WorkerRole::kPrefill, "prefill-1");
  const auto decode = worker(WorkerRole::kDecode, "decode-0");
  // Below a block, at and around block and chunk borders, several chunks.
  for (const std::uint32_t length : {1u, 50u, 63u, 64u, 65u, 127u, 128u, 129u, 192u, 193u, 256u, 300u, 777u, 1500u}) {
    SCOPED_TRACE(length);
    const auto prompt = test_prompt(length, length);
    const std::string id = std::to_string(length);
    const auto cold = request("cold-" + id, prompt, 100, *decode);
    const auto expected = reference_answer(prompt, cold.sampling());

    const auto cold_reply = reply_of(gateway_.prefill(prefill0->endpoint(), cold));
    EXPECT_EQ(cold_reply.cached_tokens(), 0u);
    EXPECT_EQ(cold_reply.published_blocks(), length / 64) << "findable before the answer ends";
    const TestAnswer cold_answer = gateway_.await("cold-" + id);
    EXPECT_EQ(cold_answer.tokens, expected);
    EXPECT_EQ(cold_answer.finish, pb::FINISH_LENGTH);
    EXPECT_TRUE(cold_answer.in_order);

    const auto warm_reply =
        reply_of(gateway_.prefill(prefill1->endpoint(), request("warm-" + id, prompt, 100, *decode)));
    EXPECT_EQ(warm_reply.cached_tokens(), kvcache::reusable_tokens(length, length, 64));
    EXPECT_EQ(warm_reply.kv_checksum(), cold_reply.kv_checksum());
    EXPECT_NE(warm_reply.kv_checksum(), 0u);
    const TestAnswer warm_answer = gateway_.await("warm-" + id);
    EXPECT_EQ(warm_answer.tokens, expected);
    EXPECT_EQ(warm_answer.cached_tokens, warm_reply.cached_tokens());
  }
}

TEST_F(WorkerFlow, ManyAtOnceWithSharedPrefixesEqualTheReference) {
  const auto prefill = worker(WorkerRole::kPrefill, "prefill-0");
  const auto decode = worker(WorkerRole::kDecode, "decode-0", {Nanos{0}, Nanos{0}}, /*sequences_max=*/3);
  const auto prefix = test_prompt(256, 1);
  std::vector<std::future<Result<std::string>>> replies;
  std::vector<pb::PrefillRequest> requests;
  for (std::uint32_t i = 0; i < 16; ++i) {
    auto prompt = prefix;
    const auto question = test_prompt(10 + 20 * i, 100 + i);
    prompt.insert(prompt.end(), question.begin(), question.end());
    requests.push_back(request("r" + std::to_string(i), prompt, 80, *decode));
    requests.back().mutable_sampling()->set_temperature(i % 2 == 0 ? 0 : 1);
    requests.back().mutable_sampling()->set_seed(i);
    replies.push_back(gateway_.prefill(prefill->endpoint(), requests.back()));
  }
  for (std::uint32_t i = 0; i < 16; ++i) {
    reply_of(std::move(replies[i]));
    const std::vector<engine::Token> prompt(requests[i].tokens().begin(), requests[i].tokens().end());
    EXPECT_EQ(gateway_.await("r" + std::to_string(i)).tokens, reference_answer(prompt, requests[i].sampling())) << i;
  }
}

TEST_F(WorkerFlow, BothSidesAgreeOnTheBytesBetweenThem) {
  const auto prefill = worker(WorkerRole::kPrefill, "prefill-0");
  const auto decode = worker(WorkerRole::kDecode, "decode-0");
  reply_of(gateway_.prefill(prefill->endpoint(), request("r", test_prompt(300, 1), 4, *decode)));
  gateway_.await("r");
  const std::string bytes = std::to_string(5 * engine::simulated::kBlockBytes);
  EXPECT_NE(prefill->metrics().scrape().find(
                "mooncake_serve_kv_bytes_sent_total{peer_role=\"decode\",role=\"prefill\"} " + bytes),
            std::string::npos);
  EXPECT_NE(decode->metrics().scrape().find(
                "mooncake_serve_kv_bytes_landed_total{peer_role=\"prefill\",role=\"decode\"} " + bytes),
            std::string::npos);
}

TEST_F(WorkerFlow, AnAnswerOfOneTokenNeedsNoDecodeWorker) {
  const auto prefill = worker(WorkerRole::kPrefill, "prefill-0");
  const auto decode = worker(WorkerRole::kDecode, "decode-0");
  auto one = request("r", test_prompt(100, 1), 1, *decode);
  one.clear_decode();
  reply_of(gateway_.prefill(prefill->endpoint(), one));
  const TestAnswer answer = gateway_.await("r");
  EXPECT_EQ(answer.tokens, reference_answer(test_prompt(100, 1), one.sampling()));
  EXPECT_EQ(answer.finish, pb::FINISH_LENGTH);
}

TEST_F(WorkerFlow, DecodePublishesTheBlocksItMakes) {
  const auto prefill = worker(WorkerRole::kPrefill, "prefill-0");
  const auto decode = worker(WorkerRole::kDecode, "decode-0");
  const auto prompt = test_prompt(100, 1);
  reply_of(gateway_.prefill(prefill->endpoint(), request("r", prompt, 200, *decode)));
  auto turn = prompt;
  const auto answer = gateway_.await("r").tokens;
  turn.insert(turn.end(), answer.begin(), answer.end());
  await_idle(*decode);
  // The next turn begins with the last one: all blocks but those that the last answer token would have completed.
  const auto next = request("next", turn, 10, *decode);
  EXPECT_EQ(reply_of(gateway_.prefill(prefill->endpoint(), next)).cached_tokens(),
            kvcache::reusable_tokens(300, 256, 64));
  EXPECT_EQ(gateway_.await("next").tokens, reference_answer(turn, next.sampling()));
}

TEST_F(WorkerFlow, RequestsSucceedWhileTheStoreIsDown) {
  const auto prefill = worker(WorkerRole::kPrefill, "prefill-0");
  const auto decode = worker(WorkerRole::kDecode, "decode-0");
  const auto prompt = test_prompt(300, 1);
  const auto first = request("r1", prompt, 100, *decode);
  store_.set_down(true);
  EXPECT_EQ(reply_of(gateway_.prefill(prefill->endpoint(), first)).published_blocks(), 0u);
  EXPECT_EQ(gateway_.await("r1").tokens, reference_answer(prompt, first.sampling()));
}

TEST_F(WorkerFlow, BlocksThatTheEngineRefusesAreComputedAgain) {
  const auto prefill = worker(WorkerRole::kPrefill, "prefill-0");
  const auto decode = worker(WorkerRole::kDecode, "decode-0");
  const auto prompt = test_prompt(300, 1);
  reply_of(gateway_.prefill(prefill->endpoint(), request("r1", prompt, 2, *decode)));
  gateway_.await("r1");
  store_.spoil();
  const auto second = request("r2", prompt, 50, *decode);
  EXPECT_EQ(reply_of(gateway_.prefill(prefill->endpoint(), second)).cached_tokens(), 0u);
  EXPECT_EQ(gateway_.await("r2").tokens, reference_answer(prompt, second.sampling()));
}

TEST_F(WorkerFlow, AMissingBlockEndsTheReusedPrefix) {
  const auto prefill = worker(WorkerRole::kPrefill, "prefill-0");
  const auto decode = worker(WorkerRole::kDecode, "decode-0");
  const auto prompt = test_prompt(400, 1);
  reply_of(gateway_.prefill(prefill->endpoint(), request("r1", prompt, 2, *decode)));
  gateway_.await("r1");
  const kvcache::KeyScope scope{engine::simulated::kv_layout().model, "", ""};
  store_.erase(kvcache::block_keys(scope, prompt, 64)[2]);
  const auto second = request("r2", prompt, 50, *decode);
  const auto reply = reply_of(gateway_.prefill(prefill->endpoint(), second));
  EXPECT_EQ(reply.cached_tokens(), 128u);
  EXPECT_EQ(reply.published_blocks(), 6u) << "the hole is filled again";
  EXPECT_EQ(gateway_.await("r2").tokens, reference_answer(prompt, second.sampling()));
}

TEST_F(WorkerFlow, NoMoreBlocksAreReusedThanTheConductorAllows) {
  const auto prefill = worker(WorkerRole::kPrefill, "prefill-0");
  const auto decode = worker(WorkerRole::kDecode, "decode-0");
  const auto prompt = test_prompt(400, 1);
  const auto cold_reply = reply_of(gateway_.prefill(prefill->endpoint(), request("cold", prompt, 2, *decode)));
  gateway_.await("cold");
  for (const std::uint32_t allowed : {0u, 2u, 5u, 6u, 1000u}) {
    SCOPED_TRACE(allowed);
    auto limited = request("limited-" + std::to_string(allowed), prompt, 50, *decode);
    limited.set_reuse_blocks_max(allowed);
    const auto reply = reply_of(gateway_.prefill(prefill->endpoint(), limited));
    EXPECT_EQ(reply.cached_tokens(), kvcache::reusable_tokens(400, std::min(allowed, 6u) * 64, 64));
    EXPECT_EQ(reply.published_blocks(), 6u) << "what was computed again is in the store all the same";
    EXPECT_EQ(reply.kv_checksum(), cold_reply.kv_checksum());
    EXPECT_EQ(gateway_.await(limited.request_id()).tokens, reference_answer(prompt, limited.sampling()));
  }
}

TEST_F(WorkerFlow, CancelInMidPrefillFreesBothWorkersForTheNextRequest) {
  const auto prefill = worker(WorkerRole::kPrefill, "prefill-0", {Millis(20), Nanos{0}});
  const auto decode = worker(WorkerRole::kDecode, "decode-0");
  // 2,000 tokens take 40 s; the cancel ends them at once.
  auto reply = gateway_.prefill(prefill->endpoint(), request("r1", test_prompt(2000, 1), 10, *decode));
  while (gateway_.stats(prefill->endpoint()).running_requests() == 0) {
  }
  gateway_.cancel(prefill->endpoint(), "r1");
  EXPECT_EQ(reply.get().status().code(), Code::kCancelled);
  const auto next = request("r2", test_prompt(5, 2), 10, *decode);
  reply_of(gateway_.prefill(prefill->endpoint(), next));
  EXPECT_EQ(gateway_.await("r2").tokens, reference_answer(test_prompt(5, 2), next.sampling()));
  await_idle(*decode);
}

TEST_F(WorkerFlow, CancelInMidDecodeFreesTheSequence) {
  const auto prefill = worker(WorkerRole::kPrefill, "prefill-0");
  const auto decode = worker(WorkerRole::kDecode, "decode-0", {Nanos{0}, Millis(1)}, /*sequences_max=*/1);
  reply_of(gateway_.prefill(prefill->endpoint(), request("r1", test_prompt(100, 1), 3000, *decode)));
  gateway_.await("r1", 5);
  gateway_.cancel(decode->endpoint(), "r1");
  const auto next = request("r2", test_prompt(5, 2), 10, *decode);
  reply_of(gateway_.prefill(prefill->endpoint(), next));
  EXPECT_EQ(gateway_.await("r2").tokens, reference_answer(test_prompt(5, 2), next.sampling()));
}

TEST_F(WorkerFlow, ALostGatewayTakesItsRequestsWithIt) {
  const auto prefill = worker(WorkerRole::kPrefill, "prefill-0");
  const auto decode = worker(WorkerRole::kDecode, "decode-0", {Nanos{0}, Millis(1)});
  auto lost = std::make_unique<TestGateway>("lost-gateway");
  auto theirs = request("theirs", test_prompt(100, 1), 3000, *decode);
  theirs.set_gateway(lost->endpoint());
  reply_of(lost->prefill(prefill->endpoint(), theirs));
  lost->await("theirs", 5);
  const auto ours = request("ours", test_prompt(100, 2), 50, *decode);
  reply_of(gateway_.prefill(prefill->endpoint(), ours));
  lost.reset();
  EXPECT_EQ(gateway_.await("ours").tokens, reference_answer(test_prompt(100, 2), ours.sampling()));
  await_idle(*decode);
}

/// A request whose decode worker is killed in mid-stream goes on elsewhere with the tokens it would have had.
class WorkerRecovery : public WorkerFlow, public ::testing::WithParamInterface<bool> {};

TEST_P(WorkerRecovery, GoesOnWithTheTokensOfAnUndisturbedRun) {
  const bool store_survives = GetParam();
  const auto prefill = worker(WorkerRole::kPrefill, "prefill-0");
  const auto prompt = test_prompt(100, 1);
  for (const std::size_t emitted : {1u, 2u, 28u, 29u, 92u, 93u, 94u, 150u}) {
    SCOPED_TRACE(emitted);
    const auto lost = worker(WorkerRole::kDecode, "decode-lost", {Nanos{0}, Micros(100)});
    const std::string id = "r" + std::to_string(emitted);
    auto attempt = request(id + ".1", prompt, 200, *lost);
    attempt.mutable_sampling()->set_temperature(1);
    attempt.mutable_sampling()->set_seed(emitted);
    const auto expected = reference_answer(prompt, attempt.sampling());
    reply_of(gateway_.prefill(prefill->endpoint(), attempt));
    gateway_.await(id + ".1", emitted);
    lost->kill();
    if (!store_survives) store_.clear();

    const auto decode = worker(WorkerRole::kDecode, "decode-1");
    TestGateway recovering("recovering");  // sees only what the second attempt sends
    attempt.set_request_id(id + ".2");
    attempt.set_decode(decode->endpoint());
    attempt.set_gateway(recovering.endpoint());
    for (std::size_t i = 0; i < emitted; ++i) attempt.add_emitted(static_cast<std::uint32_t>(expected[i]));
    reply_of(recovering.prefill(prefill->endpoint(), attempt));
    const TestAnswer rest = recovering.await(id + ".2");
    ASSERT_EQ(rest.tokens.size(), 1 + expected.size() - emitted) << "the first token, and what was missing";
    EXPECT_EQ(rest.tokens.front(), expected.front());
    EXPECT_TRUE(std::equal(rest.tokens.begin() + 1, rest.tokens.end(),
                           expected.begin() + static_cast<std::ptrdiff_t>(emitted)));
    EXPECT_EQ(rest.finish, pb::FINISH_LENGTH);
  }
}

INSTANTIATE_TEST_SUITE_P(Store, WorkerRecovery, ::testing::Bool(),
                         [](const auto& test) { return test.param ? "FromBlocks" : "ByReplay"; });

TEST_F(WorkerFlow, ALostDecodeWorkerFailsTheRequestSoThatTheGatewayCanDecideAgain) {
  const auto prefill = worker(WorkerRole::kPrefill, "prefill-0", {Millis(2), Nanos{0}});
  const auto lost = worker(WorkerRole::kDecode, "decode-lost");
  auto reply = gateway_.prefill(prefill->endpoint(), request("r", test_prompt(1000, 1), 10, *lost));
  while (gateway_.stats(prefill->endpoint()).running_requests() == 0) {
  }
  lost->kill();
  const Code code = reply.get().status().code();
  EXPECT_TRUE(code == Code::kPeerLost || code == Code::kUnavailable) << code_name(code);
}

TEST_F(WorkerFlow, AWorkerWithMoreWorkThanExpectedRefuses) {
  const auto prefill = worker(WorkerRole::kPrefill, "prefill-0", {Millis(20), Nanos{0}});
  const auto decode = worker(WorkerRole::kDecode, "decode-0");
  auto busy = request("busy", test_prompt(1000, 1), 10, *decode);
  busy.set_predicted_ms(20'000);
  auto busy_reply = gateway_.prefill(prefill->endpoint(), busy);
  while (gateway_.stats(prefill->endpoint()).running_requests() == 0) {
  }
  EXPECT_GT(gateway_.stats(prefill->endpoint()).outstanding_ms(), 10'000);
  auto deceived = request("deceived", test_prompt(10, 1), 10, *decode);
  deceived.set_predicted_ms(200);
  deceived.set_expected_ms(200);
  EXPECT_EQ(gateway_.prefill(prefill->endpoint(), deceived).get().status().code(), Code::kExhausted);
  gateway_.cancel(prefill->endpoint(), "busy");
  EXPECT_EQ(busy_reply.get().status().code(), Code::kCancelled);
}

TEST_F(WorkerFlow, ARequestThatIsHereAlreadyIsRefusedAndTheFirstGoesOn) {
  const auto prefill = worker(WorkerRole::kPrefill, "prefill-0", {Millis(2), Nanos{0}});
  const auto decode = worker(WorkerRole::kDecode, "decode-0");
  const auto once = request("r", test_prompt(100, 1), 10, *decode);
  auto first_reply = gateway_.prefill(prefill->endpoint(), once);
  EXPECT_EQ(gateway_.prefill(prefill->endpoint(), once).get().status().code(), Code::kAlreadyExists);
  reply_of(std::move(first_reply));
  EXPECT_EQ(gateway_.await("r").tokens, reference_answer(test_prompt(100, 1), once.sampling()));
}

TEST_F(WorkerFlow, ADrainingWorkerFinishesWhatItHasAndRefusesTheRest) {
  const auto prefill = worker(WorkerRole::kPrefill, "prefill-0");
  const auto decode = worker(WorkerRole::kDecode, "decode-0", {Nanos{0}, Millis(1)});
  const auto running = request("r1", test_prompt(100, 1), 100, *decode);
  reply_of(gateway_.prefill(prefill->endpoint(), running));
  std::promise<void> drained;
  decode->on_loop([&] { decode->service().drain(test_deadline(), [&] { drained.set_value(); }); });
  EXPECT_EQ(
      gateway_.prefill(prefill->endpoint(), request("r2", test_prompt(100, 1), 100, *decode)).get().status().code(),
      Code::kUnavailable);
  drained.get_future().wait();
  EXPECT_EQ(gateway_.await("r1").tokens, reference_answer(test_prompt(100, 1), running.sampling()));
}

TEST_F(WorkerFlow, AWorkerFinishesWhatItHasBeforeItTakesTheOtherRole) {
  std::promise<WorkerRole> taken;
  std::atomic<int> times = 0;
  const auto prefill = worker(WorkerRole::kPrefill, "prefill-0");
  TestWorker decode({.role = WorkerRole::kDecode,
                     .name = "decode-0",
                     .times = {Nanos{0}, Millis(1)},
                     .callbacks = {.take_role =
                                       [&](WorkerRole role) {
                                         if (++times == 1) taken.set_value(role);
                                       }}},
                    store_);
  const auto ask = [&](const std::string& role) {
    return gateway_.call(decode.endpoint(), kMethodChangeRole, encode_change_role(role)).ok();
  };
  const auto running = request("r1", test_prompt(100, 1), 300, decode);
  reply_of(gateway_.prefill(prefill->endpoint(), running));
  EXPECT_TRUE(ask("decode")) << "it is that";
  EXPECT_FALSE(gateway_.stats(decode.endpoint()).draining());
  EXPECT_TRUE(ask("prefill"));
  EXPECT_TRUE(gateway_.stats(decode.endpoint()).draining());
  auto role = taken.get_future();
  gateway_.await("r1", 10);
  EXPECT_EQ(role.wait_for(Seconds(0)), std::future_status::timeout) << "290 steps of a millisecond are left";
  EXPECT_EQ(role.get(), WorkerRole::kPrefill);
  EXPECT_EQ(gateway_.await("r1", 300).tokens, reference_answer(test_prompt(100, 1), running.sampling()))
      << "it has all of them by then";
  EXPECT_TRUE(ask("prefill"));
  gateway_.stats(decode.endpoint());
  EXPECT_EQ(times, 1) << "once, however often it is asked";
}

TEST_F(WorkerFlow, AWorkerWhoseOwnerCannotGiveItAnotherRoleRefuses) {
  const auto prefill = worker(WorkerRole::kPrefill, "prefill-0");
  const auto ask = [&](const std::string& role) {
    return gateway_.call(prefill->endpoint(), kMethodChangeRole, encode_change_role(role)).status().code();
  };
  EXPECT_EQ(ask("decode"), Code::kUnsupported);
  EXPECT_EQ(ask("master"), Code::kInvalidArgument);
  EXPECT_FALSE(gateway_.stats(prefill->endpoint()).draining());
}

// The arena has room for two prompts, 200 of one tenant are there, and one of another comes: it must not hold the
// engine while all memory is with those that wait for the engine, nor wait for memory behind all of them.
TEST_F(WorkerFlow, AnotherTenantsPromptGetsMemoryAndEngineInItsTurn) {
  const auto prefill = worker(WorkerRole::kPrefill, "prefill-0", {Micros(20), Nanos{0}}, 8, /*arena_bytes=*/160 << 10);
  const auto decode = worker(WorkerRole::kDecode, "decode-0");
  std::vector<std::future<Result<std::string>>> replies;
  const auto send = [&](const std::string& id, std::uint64_t tenant, std::uint32_t seed) {
    pb::PrefillRequest one = request(id, test_prompt(256, seed), 1, *decode);
    one.set_tenant(tenant);
    one.set_predicted_ms(5);
    replies.push_back(gateway_.prefill(prefill->endpoint(), one));
  };
  for (std::uint32_t i = 0; i < 200; ++i) send("flood-" + std::to_string(i), 1, i);
  send("other", 2, 1'000);
  EXPECT_EQ(gateway_.await("other").finish, pb::FINISH_LENGTH);
  EXPECT_GT(gateway_.stats(prefill->endpoint()).queued_requests(), 50u) << "most of the flood waits";
  for (auto& reply : replies) (void)reply_of(std::move(reply));
}

TEST_F(WorkerFlow, TenantsReuseBlocksOfTheSameSaltOnly) {
  const auto prefill = worker(WorkerRole::kPrefill, "prefill-0");
  const auto decode = worker(WorkerRole::kDecode, "decode-0");
  const auto ask = [&](const std::string& id, const std::string& salt) {
    pb::PrefillRequest one = request(id, test_prompt(300, 1), 100, *decode);
    one.set_cache_salt(salt);
    const std::uint32_t cached = reply_of(gateway_.prefill(prefill->endpoint(), one)).cached_tokens();
    EXPECT_EQ(gateway_.await(id).tokens, reference_answer(test_prompt(300, 1), one.sampling()));
    return cached;
  };
  EXPECT_EQ(ask("a", "one"), 0u);
  EXPECT_EQ(ask("b", "other"), 0u);
  EXPECT_EQ(ask("c", ""), 0u);
  EXPECT_GT(ask("d", "one"), 0u);
}

TEST_F(WorkerFlow, PromptsThatNeverFitTheArenaAreRefused) {
  const auto prefill = worker(WorkerRole::kPrefill, "prefill-0", {Nanos{0}, Nanos{0}}, 8, /*arena_bytes=*/256u << 10);
  const auto decode = worker(WorkerRole::kDecode, "decode-0");
  EXPECT_EQ(
      gateway_.prefill(prefill->endpoint(), request("r", test_prompt(2000, 1), 10, *decode)).get().status().code(),
      Code::kOutOfRange);
}

}  // namespace
}  // namespace mooncake::serve
