#include "cli/bench_client.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/mutex.h"
#include "net/http_server.h"

namespace mooncake::cli {
namespace {

Instant at(int ms) { return Instant(Millis(ms)); }

std::string token_event(std::string_view text) {
  return "data: {\"choices\": [{\"index\": 0, \"text\": \"" + std::string(text) + "\"}], \"usage\": null}\n\n";
}
constexpr std::string_view kFinish =
    "data: {\"choices\": [{\"index\": 0, \"text\": \"\", \"finish_reason\": \"length\"}]}\n\n";
constexpr std::string_view kUsage =
    "data: {\"choices\": [], \"usage\": {\"prompt_tokens\": 2032, \"completion_tokens\": 3, "
    "\"prompt_tokens_details\": {\"cached_tokens\": 1968}}}\n\n";
constexpr std::string_view kDone = "data: [DONE]\n\n";

TEST(CompletionMeter, NotesWhenEachTokenCame) {
  CompletionMeter meter(at(100));
  meter.add(token_event("a"), at(150));
  meter.add(token_event("b"), at(160));
  meter.add(token_event("c") + std::string(kFinish), at(185));
  meter.add(std::string(kUsage) + std::string(kDone), at(190));
  const auto facts = meter.finish(at(191));
  ASSERT_TRUE(facts.ok()) << facts.status().message();
  EXPECT_EQ(facts->ttft, Millis(50));
  EXPECT_EQ(facts->gaps, (std::vector<Nanos>{Millis(10), Millis(25)})) << "the finish is no token";
  EXPECT_EQ(facts->total, Millis(91));
  EXPECT_EQ(facts->prompt_tokens, 2032u);
  EXPECT_EQ(facts->cached_tokens, 1968u);
  EXPECT_EQ(facts->answer_tokens, 3u);
}

TEST(CompletionMeter, TokenWithoutTextStillEndsTheWait) {
  CompletionMeter meter(at(0));
  meter.add(kFinish, at(30));
  meter.add(kDone, at(31));
  const auto facts = meter.finish(at(31));
  ASSERT_TRUE(facts.ok());
  EXPECT_EQ(facts->ttft, Millis(30));
}

TEST(CompletionMeter, BrokenStreamIsAnError) {
  CompletionMeter cut(at(0));
  cut.add(token_event("a"), at(1));
  EXPECT_EQ(cut.finish(at(2)).status().code(), Code::kPeerLost);
  CompletionMeter told(at(0));
  told.add("data: {\"error\": {\"message\": \"worker lost\"}}\n\n", at(1));
  told.add(kDone, at(1));
  EXPECT_NE(told.finish(at(2)).status().message().find("worker lost"), std::string::npos);
  CompletionMeter nonsense(at(0));
  nonsense.add("data: [1, 2\n\ndata: 7\n\ndata: {\"choices\": 3}\n\n", at(1));
  EXPECT_FALSE(nonsense.finish(at(2)).ok());
}

// A gateway of a few lines: what it is asked is kept, what it answers is fixed.
class FakeGateway {
 public:
  FakeGateway() {
    auto server =
        net::HttpServer::create({}, [this](std::shared_ptr<net::HttpExchange> exchange) { answer(*exchange); });
    server_ = std::move(*server);
  }
  GatewayAccess access() const { return {.url = "http://" + server_->endpoint(), .api_key = "sk-bench"}; }
  std::string authorization() {
    const MutexLock lock(mutex_);
    return authorization_;
  }
  std::string steered_to() {
    const MutexLock lock(mutex_);
    return steered_to_;
  }
  nlohmann::json body() {
    const MutexLock lock(mutex_);
    return nlohmann::json::parse(body_);
  }

 private:
  void answer(net::HttpExchange& exchange) {
    const net::HttpRequest& request = exchange.request();
    if (request.path == "/v1/models") return exchange.respond(200, {}, R"({"data": [{"id": "tiny"}]})");
    if (request.path == "/tokenize")
      return exchange.respond(200, {}, R"({"count": 5, "tokens": [1, 2, 3, 4, 5], "max_model_len": 8192})");
    if (request.path == "/mooncake/cluster") {
      return exchange.respond(200, {}, R"({"instances": [
          {"name": "prefill-0", "role": "prefill", "state": "up"},
          {"name": "prefill-1", "role": "prefill", "state": "down"},
          {"name": "decode-0", "role": "decode", "state": "up"},
          {"name": "prefill-2", "role": "prefill", "state": "up"}, 7]})");
    }
    const MutexLock lock(mutex_);
    steered_to_ = request.header("x-mooncake-place-prefill");
    authorization_ = request.header("authorization");
    body_ = request.body;
    if (steered_to_ == "nobody") return exchange.respond(503, {}, R"({"error": {"message": "no such worker"}})");
    exchange.start_stream(200, {{"content-type", "text/event-stream"}, {"x-mooncake-prefill", "prefill-2"}});
    (void)exchange.write(token_event("a") + std::string(kFinish) + std::string(kUsage) + std::string(kDone));
    exchange.finish();
  }

  Mutex mutex_;
  std::string steered_to_ GUARDED_BY(mutex_);
  std::string authorization_ GUARDED_BY(mutex_);
  std::string body_ GUARDED_BY(mutex_);
  std::unique_ptr<net::HttpServer> server_;
};

TEST(BenchClient, MeasuresACompletionOverHttp) {
  FakeGateway gateway;
  const auto facts = measure_completion(
      gateway.access(), {.model = "tiny", .prompt = "hello", .answer_tokens = 3, .place_prefill = "prefill-2"});
  ASSERT_TRUE(facts.ok()) << facts.status().message();
  EXPECT_EQ(facts->cached_tokens, 1968u);
  EXPECT_EQ(facts->prefill, "prefill-2");
  EXPECT_GT(facts->ttft, Nanos(0));
  EXPECT_EQ(gateway.steered_to(), "prefill-2");
  EXPECT_EQ(gateway.authorization(), "Bearer sk-bench");
  EXPECT_EQ(gateway.body()["prompt"], "hello");
  EXPECT_EQ(gateway.body()["stream"], true);
}

TEST(BenchClient, RefusalCarriesTheServersWords) {
  FakeGateway gateway;
  const auto facts =
      measure_completion(gateway.access(), {.model = "tiny", .prompt = "hello", .place_prefill = "nobody"});
  ASSERT_FALSE(facts.ok());
  EXPECT_TRUE(is_refusal(facts.status()));
  EXPECT_NE(facts.status().message().find("503: no such worker"), std::string::npos) << facts.status().message();
}

TEST(BenchClient, LearnsModelInstancesAndTokenCounts) {
  FakeGateway gateway;
  EXPECT_EQ(*served_model(gateway.access()), "tiny");
  EXPECT_EQ(*count_tokens(gateway.access(), "a b c d e"), 5u);
  EXPECT_EQ(*context_tokens(gateway.access()), 8192u);
  EXPECT_EQ(*prefill_instances(gateway.access()), (std::vector<std::string>{"prefill-0", "prefill-2"}));
}

TEST(BenchClient, NobodyThereIsAnErrorThatNamesTheUrl) {
  GatewayAccess gone;
  {
    FakeGateway gateway;
    gone = gateway.access();
  }
  for (const Status& status : {served_model(gone).status(), context_tokens(gone).status()}) {
    EXPECT_EQ(status.code(), Code::kUnavailable);
    EXPECT_NE(status.message().find(gone.url), std::string::npos) << status.message();
  }
}

}  // namespace
}  // namespace mooncake::cli
