// The gateway's core over a transfer engine that the test answers by hand: what workers are asked, what clients get,
// and what happens when either goes away. Time moves only when the test says so.
#include "serve/gateway/dispatcher.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/metrics.h"
#include "kvcache/cost_model.h"
#include "proto/serve.pb.h"
#include "serve/gateway/fake_exchange.h"
#include "serve/gateway/fake_transfer.h"
#include "serve/methods.h"
#include "serve/worker/manual_executor.h"

namespace mooncake::serve {
namespace {

using conductor::Role;
using nlohmann::json;

store::Member member(const std::string& role, int number, const std::string& model) {
  const std::string port = std::to_string((role == "prefill" ? 100 : 200) + number);
  return {.role = role,
          .name = role + "-" + std::to_string(number),
          .endpoint = "127.0.0.1:" + port,
          .epoch = 1,
          .attached_node = "node-0",
          .model = model};
}

class DispatcherTest : public testing::Test {
 protected:
  explicit DispatcherTest(DispatcherConfig config = {.request_deadline = Seconds(60), .capacity_wait = Seconds(5)},
                          conductor::ConductorConfig policy = {})
      : conductor_config_(policy) {
    config.model = model();
    loop_.advance(Seconds(1));
    transfer_.on_peer_lost([this](transfer::PeerHandle peer) { instances_.on_peer_lost(peer); });
    dispatcher_ = std::make_unique<Dispatcher>(
        config, Dispatcher::Parts{transfer_, front_, *conductor_, instances_, placer_, log_, counters_});
  }

  static engine::ModelFront load() { return *engine::load_model_front({.kind = "simulated", .model_path = {}}); }
  [[nodiscard]] std::string model() const { return front_.layout.model.to_string(); }

  void bring_up(const std::vector<store::Member>& members) {
    members_.insert(members_.end(), members.begin(), members.end());
    instances_.on_members(members_);
    loop_.run();
    answer_stats();
  }
  void bring_up_two_of_each() {
    bring_up({member("prefill", 0, model()), member("prefill", 1, model()), member("decode", 0, model()),
              member("decode", 1, model())});
  }
  void answer_stats() {
    pb::StatsReply reply;
    reply.set_sequences_max(8);
    reply.set_kv_tokens_max(1u << 20);
    while (transfer_.count(kMethodStats) > 0) {
      transfer_.answer(transfer_.take(kMethodStats), reply.SerializeAsString());
      loop_.run();
    }
  }
  void lose(const std::string& endpoint) {
    transfer_.lose(endpoint);
    loop_.run();
    loop_.advance(kLostDelay);
  }

  std::shared_ptr<FakeExchange> ask(openai::GenerateRequest request, std::size_t prompt_bytes = 200,
                                    std::string place_prefill = {}) {
    net::HttpRequest http;
    http.received = loop_.clock().now();
    auto exchange = std::make_shared<FakeExchange>(std::move(http));
    Arrival arrival{.id = "id-" + std::to_string(++asked_),
                    .prepared = {.request = std::move(request),
                                 .prompt = std::vector<engine::Token>(prompt_bytes, 'x'),
                                 .block_keys = {},
                                 .tokens_max = 8},
                    .place_prefill = std::move(place_prefill),
                    .exchange = exchange,
                    .in_flight = InFlight(board_),
                    .created_s = 1};
    for (std::size_t i = 0; i < prompt_bytes / 64; ++i) arrival.prepared.block_keys.push_back({i, asked_});
    dispatcher_->begin(std::move(arrival));
    loop_.run();
    return exchange;
  }
  static openai::GenerateRequest plain() { return {.api = openai::Api::kText, .model = "simulated"}; }
  static openai::GenerateRequest streamed() {
    return {.api = openai::Api::kText, .model = "simulated", .stream = true};
  }

  struct Sent {
    FakeTransfer::Call call;
    pb::PrefillRequest request;
  };
  Sent take_prefill() {
    Sent sent{transfer_.take(kMethodPrefill), {}};
    EXPECT_TRUE(sent.request.ParseFromString(sent.call.payload));
    return sent;
  }
  void reply(Sent sent, Result<pb::PrefillReply> reply = pb::PrefillReply()) {
    transfer_.answer(std::move(sent.call), reply.ok() ? Result<std::string>(reply->SerializeAsString())
                                                      : Result<std::string>(reply.status()));
    loop_.run();
  }
  bool token(const Sent& sent, std::uint32_t index, char text, TokenArrival::Kind kind = TokenArrival::Kind::kToken,
             std::uint32_t cached = 0) {
    const bool known = dispatcher_->on_token(sent.request.request_id(), {kind, index, text, {}}, cached);
    loop_.run();
    return known;
  }
  std::vector<std::string> cancelled() {
    std::vector<std::string> peers;
    while (transfer_.count(kMethodCancel) > 0) peers.push_back(transfer_.take(kMethodCancel).peer);
    return peers;
  }

  ManualExecutor loop_;
  FakeTransfer transfer_{loop_};
  Metrics metrics_;
  GatewayMetrics counters_{metrics_};
  engine::ModelFront front_ = load();
  conductor::ConductorConfig conductor_config_;
  std::unique_ptr<conductor::Conductor> conductor_ =
      conductor::Conductor::create(conductor_config_, kvcache::make_cost_model(*kvcache::builtin_profile("laptop")));
  InstanceTable instances_{
      model(),
      Millis(250),
      transfer_,
      {.changed =
           [this](const conductor::InstanceChange& change) {
             conductor_->on_instance(change, loop_.clock().now());
             if (change.kind == conductor::InstanceChange::Kind::kUp) {
               loop_.post([this] { dispatcher_->on_instance_up(); });
             }
           },
       .stats = [this](const conductor::InstanceStats& stats) { conductor_->on_stats(stats, loop_.clock().now()); },
       .lost = [this](const Instance& instance) { dispatcher_->on_instance_lost(instance); }}};
  Placer placer_{conductor_config_, *conductor_, instances_};
  DecisionLog log_;
  std::shared_ptr<LoadBoard> board_ = std::make_shared<LoadBoard>();
  std::vector<store::Member> members_;
  std::uint64_t asked_ = 0;
  std::unique_ptr<Dispatcher> dispatcher_;
};

constexpr auto kLast = TokenArrival::Kind::kLastToken;
constexpr auto kEnd = TokenArrival::Kind::kEndToken;

TEST_F(DispatcherTest, ARequestGoesToTheWorkersAndItsAnswerComesBack) {
  bring_up_two_of_each();
  const auto exchange = ask(plain());
  Sent sent = take_prefill();
  EXPECT_EQ(sent.request.tokens_size(), 200);
  EXPECT_EQ(sent.request.gateway(), transfer_.name());
  EXPECT_EQ(sent.request.model(), model());
  EXPECT_EQ(sent.request.request_id(), "id-1.0.1");
  EXPECT_EQ(sent.request.deadline_ms(), 60'000);
  EXPECT_EQ(sent.request.expected_ms(), 0) << "without admission nothing is compared";
  EXPECT_GT(sent.request.predicted_ms(), 0);
  EXPECT_TRUE(token(sent, 0, 'h', {}, 128));
  EXPECT_TRUE(token(sent, 1, 'i', kLast));
  EXPECT_FALSE(exchange->finished) << "the prompt is not published yet";
  reply(std::move(sent));
  ASSERT_TRUE(exchange->finished);
  EXPECT_EQ(exchange->status, 200u);
  EXPECT_EQ(exchange->header("x-request-id"), "id-1");
  EXPECT_EQ(exchange->header("x-mooncake-prefill"), "prefill-0");
  EXPECT_EQ(exchange->header("x-mooncake-decode"), "decode-0");
  EXPECT_EQ(exchange->header("x-mooncake-cached-tokens"), "128");
  EXPECT_NE(exchange->header("x-mooncake-ttft-ms-predicted"), "");
  const json body = json::parse(exchange->body);
  EXPECT_EQ(body["choices"][0]["text"], "hi");
  EXPECT_EQ(body["choices"][0]["finish_reason"], "length");
  EXPECT_EQ(body["usage"]["completion_tokens"], 2);
  EXPECT_EQ(body["usage"]["prompt_tokens_details"]["cached_tokens"], 128);
  EXPECT_EQ(board_->in_flight, 0u);
  EXPECT_TRUE(cancelled().empty());
}

TEST_F(DispatcherTest, AStreamsHeadersGoOutWithTheFirstToken) {
  bring_up_two_of_each();
  const auto exchange = ask(streamed());
  EXPECT_EQ(exchange->status, 0u);
  Sent sent = take_prefill();
  token(sent, 0, 'h');
  EXPECT_EQ(exchange->status, 200u);
  EXPECT_NE(exchange->body.find("\"text\":\"h\""), std::string::npos);
  reply(std::move(sent));
  EXPECT_FALSE(exchange->finished);
}

TEST_F(DispatcherTest, TokensOfUnknownAttemptsAreReportedSo) {
  bring_up_two_of_each();
  ask(plain());
  Sent sent = take_prefill();
  token(sent, 0, 'h', kLast);
  reply(std::move(sent));
  EXPECT_FALSE(dispatcher_->on_token("id-1.0.1", {}, 0)) << "it has ended";
  EXPECT_FALSE(dispatcher_->on_token("never", {}, 0));
}

TEST_F(DispatcherTest, ALostDecodeWorkerMovesTheStreamWithWhatTheClientHas) {
  bring_up_two_of_each();
  const auto exchange = ask(streamed());
  Sent first = take_prefill();
  token(first, 0, 'a');
  token(first, 1, 'b');
  lose(first.request.decode());
  Sent second = take_prefill();
  EXPECT_NE(second.request.decode(), first.request.decode());
  EXPECT_NE(second.request.request_id(), first.request.request_id());
  EXPECT_EQ(second.request.request_id(), "id-1.0.2") << "no id is used twice";
  EXPECT_EQ(second.request.sampling().seed(), first.request.sampling().seed());
  ASSERT_EQ(second.request.emitted_size(), 2);
  EXPECT_EQ(second.request.emitted(1), static_cast<std::uint32_t>('b'));
  EXPECT_FALSE(token(first, 2, 'X')) << "what the old attempt still sends is unknown";
  token(second, 0, 'a');
  token(second, 2, 'c', kLast);
  reply(std::move(second));
  EXPECT_TRUE(exchange->finished);
  std::string text;
  for (std::size_t at = 0; (at = exchange->body.find("\"text\":\"", at)) != std::string::npos;) {
    at += 8;
    text += exchange->body.substr(at, exchange->body.find('"', at) - at);
  }
  EXPECT_EQ(text, "abc");
  EXPECT_EQ(log_.find("id-1")->attempts, 2u);
}

TEST_F(DispatcherTest, ALostPrefillWorkerIsReplaced) {
  bring_up_two_of_each();
  const auto exchange = ask(plain());
  EXPECT_EQ(transfer_.count(kMethodPrefill), 1u);
  lose("127.0.0.1:100");
  Sent second = take_prefill();
  EXPECT_EQ(second.call.peer, "127.0.0.1:101");
  token(second, 0, 'h', kEnd);
  reply(std::move(second));
  EXPECT_EQ(exchange->status, 200u);
  EXPECT_EQ(exchange->header("x-mooncake-prefill"), "prefill-1");
}

TEST_F(DispatcherTest, AfterTwoLostWorkersTheClientIsTold) {
  bring_up_two_of_each();
  const auto exchange = ask(plain());
  lose("127.0.0.1:100");
  lose("127.0.0.1:101");
  EXPECT_EQ(exchange->status, 502u);
  EXPECT_EQ(log_.find("id-1")->outcome, "failed");
}

TEST_F(DispatcherTest, WithoutWorkersARequestWaitsAndIsServedWhenTheyCome) {
  bring_up({member("prefill", 0, model())});
  const auto exchange = ask(plain());
  EXPECT_EQ(transfer_.count(kMethodPrefill), 0u);
  loop_.advance(Seconds(4));
  answer_stats();
  EXPECT_FALSE(exchange->finished);
  bring_up({member("decode", 0, model())});
  Sent sent = take_prefill();
  token(sent, 0, 'h', kLast);
  reply(std::move(sent));
  EXPECT_EQ(exchange->status, 200u);
}

TEST_F(DispatcherTest, WaitingForWorkersEndsWithRetryAfter) {
  bring_up({member("decode", 0, model())});
  const auto exchange = ask(plain());
  loop_.advance(Seconds(5));
  EXPECT_EQ(exchange->status, 503u);
  EXPECT_EQ(exchange->header("retry-after"), "1");
  const json body = json::parse(exchange->body);
  EXPECT_EQ(body["error"]["code"], "no_capacity");
  EXPECT_NE(body["error"]["message"].get<std::string>().find("no prefill worker"), std::string::npos);
  EXPECT_EQ(log_.find("id-1")->outcome, "rejected");
  EXPECT_EQ(board_->in_flight, 0u);
}

class ImpatientDispatcherTest : public DispatcherTest {
 protected:
  ImpatientDispatcherTest()
      : DispatcherTest({.request_deadline = Seconds(60), .capacity_wait = Seconds(5), .first_may_wait = false}) {}
};

TEST_F(ImpatientDispatcherTest, WithAdmissionNobodyUpIsRefusedAtOnce) { EXPECT_EQ(ask(plain())->status, 503u); }

class BaselineDispatcherTest : public DispatcherTest {
 protected:
  BaselineDispatcherTest()
      : DispatcherTest(
            {.request_deadline = Seconds(60), .capacity_wait = Seconds(5), .first_may_wait = false},
            {.admission = conductor::AdmissionPolicy::kBaseline, .slo = {.ttft = Seconds(30), .tbt = Nanos(1)}}) {}
};

TEST_F(BaselineDispatcherTest, RefusesAfterThePrefillWhenDecodeIsTooSlow) {
  bring_up_two_of_each();
  const auto exchange = ask(plain());
  Sent sent = take_prefill();
  EXPECT_FALSE(exchange->finished);
  reply(std::move(sent));
  EXPECT_EQ(exchange->status, 503u);
  EXPECT_NE(exchange->header("retry-after"), "");
  EXPECT_EQ(log_.find("id-1")->outcome, "rejected");
  EXPECT_NE(cancelled(), std::vector<std::string>()) << "the decode worker forgets it";
  EXPECT_EQ(board_->in_flight, 0u);
}

TEST_F(BaselineDispatcherTest, ButNotOnceATokenHasBeenShown) {
  bring_up_two_of_each();
  const auto exchange = ask(streamed());
  Sent sent = take_prefill();
  token(sent, 0, 'a');
  token(sent, 1, 'b', TokenArrival::Kind::kLastToken);
  reply(std::move(sent));
  EXPECT_EQ(exchange->status, 200u);
}

TEST_F(ImpatientDispatcherTest, ButAStreamThatHasBegunWaitsForItsWorkerToComeBack) {
  bring_up({member("prefill", 0, model()), member("decode", 0, model())});
  const auto exchange = ask(streamed());
  Sent first = take_prefill();
  token(first, 0, 'a');
  lose("127.0.0.1:200");
  EXPECT_FALSE(exchange->finished);
  members_.pop_back();
  store::Member again = member("decode", 0, model());
  again.epoch = 2;
  again.endpoint = "127.0.0.1:299";
  bring_up({again});
  EXPECT_EQ(take_prefill().request.decode(), again.endpoint);
}

TEST_F(DispatcherTest, AClientThatGoesAwayIsCancelledAtBothWorkers) {
  bring_up_two_of_each();
  const auto exchange = ask(streamed());
  Sent sent = take_prefill();
  token(sent, 0, 'h');
  exchange->gone();
  loop_.run();
  EXPECT_EQ(cancelled(), (std::vector<std::string>{"127.0.0.1:100", "127.0.0.1:200"}));
  EXPECT_FALSE(token(sent, 1, 'i'));
  EXPECT_EQ(log_.find("id-1")->outcome, "cancelled");
  EXPECT_EQ(board_->in_flight, 0u);
}

TEST_F(DispatcherTest, AClientThatDoesNotReadIsGivenUp) {
  bring_up_two_of_each();
  const auto exchange = ask(streamed());
  Sent sent = take_prefill();
  token(sent, 0, 'h');
  exchange->write_status = Status(Code::kExhausted, "1 MiB unread");
  token(sent, 1, 'i');
  EXPECT_EQ(cancelled().size(), 2u);
  EXPECT_EQ(board_->in_flight, 0u);
}

TEST_F(DispatcherTest, AtItsDeadlineARequestIsCancelledAndAnswered) {
  bring_up_two_of_each();
  const auto exchange = ask(plain());
  for (int second = 0; second < 60; ++second) {
    loop_.advance(Seconds(1));
    answer_stats();
  }
  EXPECT_EQ(exchange->status, 504u);
  EXPECT_EQ(cancelled().size(), 2u);
  EXPECT_EQ(board_->in_flight, 0u);
}

TEST_F(DispatcherTest, AStopStringCancelsDecodeAndEndsTheAnswerOnceThePromptIsPublished) {
  bring_up_two_of_each();
  openai::GenerateRequest request = plain();
  request.stops = {"ab"};
  const auto exchange = ask(request);
  Sent sent = take_prefill();
  token(sent, 0, 'x');
  token(sent, 1, 'a');
  token(sent, 2, 'b');
  token(sent, 3, 'c');
  EXPECT_FALSE(exchange->finished);
  reply(std::move(sent));
  ASSERT_TRUE(exchange->finished);
  EXPECT_EQ(json::parse(exchange->body)["choices"][0]["text"], "x");
  EXPECT_EQ(json::parse(exchange->body)["choices"][0]["finish_reason"], "stop");
  EXPECT_EQ(cancelled(), std::vector<std::string>{"127.0.0.1:200"});
}

TEST_F(DispatcherTest, OtherChoicesBeginWhenThePromptIsPublished) {
  bring_up_two_of_each();
  openai::GenerateRequest request = plain();
  request.choices = 3;
  const auto exchange = ask(request);
  Sent first = take_prefill();
  EXPECT_EQ(transfer_.count(kMethodPrefill), 0u);
  const std::uint64_t seed = first.request.sampling().seed();
  token(first, 0, 'a', kLast);
  reply(std::move(first));
  for (std::uint32_t choice = 1; choice < 3; ++choice) {
    Sent sent = take_prefill();
    EXPECT_EQ(sent.request.sampling().choice(), choice);
    EXPECT_EQ(sent.request.sampling().seed(), seed) << "one seed a request, the choice makes the difference";
    EXPECT_FALSE(exchange->finished);
    token(sent, 0, static_cast<char>('a' + choice), kLast);
    reply(std::move(sent));
  }
  ASSERT_TRUE(exchange->finished);
  const json body = json::parse(exchange->body);
  EXPECT_EQ(body["choices"].size(), 3u);
  EXPECT_EQ(body["choices"][2]["text"], "c");
  EXPECT_EQ(body["usage"]["completion_tokens"], 3);
}

TEST_F(DispatcherTest, OneFailedChoiceFailsTheRequestAndCancelsTheOthers) {
  bring_up_two_of_each();
  openai::GenerateRequest request = plain();
  request.choices = 2;
  const auto exchange = ask(request);
  Sent first = take_prefill();
  token(first, 0, 'a');
  reply(std::move(first));
  Sent second = take_prefill();
  reply(std::move(second), Status(Code::kOutOfRange, "too long for this worker"));
  EXPECT_EQ(exchange->status, 400u);
  EXPECT_GE(cancelled().size(), 2u);
  EXPECT_EQ(board_->in_flight, 0u);
}

TEST_F(DispatcherTest, ARefusalByABusyWorkerIsDecidedAgainTwice) {
  bring_up_two_of_each();
  const auto exchange = ask(plain());
  for (int i = 0; i < 3; ++i) reply(take_prefill(), Status(Code::kExhausted, "busier than you think"));
  EXPECT_EQ(exchange->status, 503u);
  EXPECT_EQ(exchange->header("retry-after"), "1");
}

TEST_F(DispatcherTest, WhatWasPublishedIsFoundByTheNextRequest) {
  bring_up_two_of_each();
  ask(plain());
  Sent sent = take_prefill();
  token(sent, 0, 'h', kLast);
  pb::PrefillReply published;
  published.set_published_blocks(3);
  published.set_node("node-0");
  reply(std::move(sent), published);
  asked_ = 0;  // the same block keys again
  ask(plain());
  ASSERT_FALSE(log_.find("id-1")->decisions.empty());
  EXPECT_GT(log_.find("id-1")->decisions[0].decision.reused_blocks, 0u);
}

TEST_F(DispatcherTest, SteeringIsFollowedAndItsErrorsAreTold) {
  bring_up_two_of_each();
  ask(plain(), 200, "prefill-1");
  EXPECT_EQ(take_prefill().call.peer, "127.0.0.1:101");
  const auto unknown = ask(plain(), 200, "prefill-77");
  EXPECT_EQ(unknown->status, 400u);
  EXPECT_NE(unknown->body.find("prefill-77"), std::string::npos);
  EXPECT_EQ(ask(plain(), 200, "decode-0")->status, 400u);
  lose("127.0.0.1:101");
  EXPECT_EQ(ask(plain(), 200, "prefill-1")->status, 503u);
}

class Algorithm1DispatcherTest : public DispatcherTest {
 protected:
  Algorithm1DispatcherTest() : DispatcherTest({}, {.placement = conductor::PlacementPolicy::kAlgorithm1}) {}
};

TEST_F(Algorithm1DispatcherTest, TheWorkerIsToldHowMuchOfTheCacheThePolicyReuses) {
  bring_up({member("prefill", 0, model()), member("decode", 0, model())});
  // The worker's own node lacks the last of six blocks: a fetch from elsewhere is not worth it (6/5 < 1.3).
  const auto stored = [this](std::string_view node, std::uint64_t request, std::uint64_t blocks) {
    conductor::CacheEvent event{
        .kind = conductor::CacheEvent::Kind::kStored, .node = instances_.node_id(node), .keys = {}};
    for (std::uint64_t i = 0; i < blocks; ++i) event.keys.push_back({i, request});
    conductor_->on_cache({&event, 1}, loop_.clock().now());
  };
  stored("node-0", 1, 5);
  stored("node-1", 1, 6);
  ask(plain(), 400);
  EXPECT_EQ(take_prefill().request.reuse_blocks_max(), 5u);
  stored("node-0", 2, 6);
  ask(plain(), 400);
  EXPECT_FALSE(take_prefill().request.has_reuse_blocks_max()) << "all that is cached";
}

TEST_F(DispatcherTest, EveryCandidateAndWhatHappenedIsRemembered) {
  bring_up_two_of_each();
  ask(plain());
  Sent sent = take_prefill();
  token(sent, 0, 'h', kLast);
  pb::PrefillReply actual;
  actual.set_queue_ms(1);
  actual.set_prefill_ms(4);
  reply(std::move(sent), actual);
  const json body = json::parse(decision_body(*log_.find("id-1")));
  EXPECT_EQ(body["outcome"], "ok");
  EXPECT_EQ(body["actual"]["prefill_ms"], 4.0);
  EXPECT_EQ(body["actual"]["prefill"], "prefill-0");
  EXPECT_EQ(body["decisions"].size(), 1u);
  EXPECT_EQ(body["decisions"][0]["candidates"].size(), 4u);
}

TEST_F(DispatcherTest, ShuttingDownAnswersEveryOpenRequest) {
  bring_up_two_of_each();
  const auto open = ask(plain());
  const auto stream = ask(streamed());
  dispatcher_.reset();
  EXPECT_EQ(open->status, 503u);
  EXPECT_EQ(stream->status, 503u);
  EXPECT_EQ(cancelled().size(), 4u);
  EXPECT_EQ(board_->in_flight, 0u);
}

}  // namespace
}  // namespace mooncake::serve
