// A whole cluster in one test process, each part with its own loop and transfer engine: master, node, workers with the
// simulated engine, gateway; asked over HTTP. The answers are compared with what one engine alone generates.
#include "serve/gateway/gateway_service.h"

#include <gtest/gtest.h>

#include <fmt/core.h>

#include <atomic>
#include <functional>
#include <nlohmann/json.hpp>
#include <thread>

#include "net/http_client.h"
#include "serve/worker/test_cluster.h"
#include "store/master/master_service.h"
#include "store/node/node_service.h"

namespace mooncake::serve {
namespace {

using nlohmann::json;

const engine::EngineConfig kModel{.kind = "simulated", .model_path = ""};

struct MasterProcess : TestProcess {
  MasterProcess() : TestProcess("master") {
    service = std::move(store::MasterService::create({}, transfer(), loop(), metrics())).value();
    loop().start();
  }
  ~MasterProcess() override {
    on_loop([this] { service.reset(); });
    stop();
  }
  std::unique_ptr<store::MasterService> service;
};

struct NodeProcess : TestProcess {
  explicit NodeProcess(const std::string& master) : TestProcess("node-0") {
    service =
        std::move(store::NodeService::create({.name = "node-0", .master = master, .pool_bytes = 64u << 20, .pool = {}},
                                             transfer(), loop(), metrics()))
            .value();
    loop().start();
  }
  ~NodeProcess() override {
    on_loop([this] { service.reset(); });
    stop();
  }
  std::unique_ptr<store::NodeService> service;
};

struct WorkerProcess : TestProcess {
  WorkerProcess(WorkerRole role, const std::string& name, const std::string& master) : TestProcess(name) {
    engine::EngineConfig engine = kModel;
    engine.sequences_max = 16;
    service = std::move(WorkerService::create({.role = role,
                                               .name = name,
                                               .engine = engine,
                                               .master = master,
                                               .attached_node = "node-0",
                                               .arena_bytes = 64ull << 20},
                                              transfer(), loop(), metrics()))
                  .value();
    loop().start();
  }
  ~WorkerProcess() override { kill(); }
  /// As kill -9 looks from outside.
  void kill() {
    if (!service) return;
    on_loop([this] { service.reset(); });
    stop();
  }
  std::unique_ptr<WorkerService> service;
};

struct GatewayProcess : TestProcess {
  explicit GatewayProcess(GatewayConfig config) : TestProcess("gateway") {
    config.model = kModel;
    service = std::move(GatewayService::create(std::move(config), transfer(), loop(), metrics())).value();
    loop().start();
  }
  ~GatewayProcess() override {
    on_loop([this] { service.reset(); });
    stop();
  }
  std::unique_ptr<GatewayService> service;
};

bool eventually(const std::function<bool()>& condition) {
  const Deadline deadline = test_deadline();
  while (!condition()) {
    if (SteadyClock().now() > deadline) return false;
    std::this_thread::yield();
  }
  return true;
}

std::string reference_text(const std::string& prompt, std::uint32_t tokens_max) {
  engine::EngineConfig config = kModel;
  engine::simulated::SimulatedEngine engine(config, {Nanos{0}, Nanos{0}});
  std::vector<engine::Token> tokens;
  for (const char byte : prompt) tokens.push_back(static_cast<unsigned char>(byte));
  const auto generated = engine::generate(engine, {.prompt = tokens, .tokens_max = tokens_max}, {});
  CHECK(generated.ok());
  std::string text;
  for (const engine::Token token : generated->tokens) text += engine.tokenizer().piece(token);
  return text;
}

std::string prompt_text(std::size_t bytes, std::uint32_t seed) {
  std::string text;
  for (const engine::Token token : test_prompt(static_cast<std::uint32_t>(bytes), seed))
    text += static_cast<char>(token);
  return text;
}

class GatewayServiceTest : public testing::Test {
 protected:
  explicit GatewayServiceTest(GatewayConfig config = {}) {
    config.master = master_.endpoint();
    gateway_ = std::make_unique<GatewayProcess>(std::move(config));
    url_ = "http://" + gateway_->service->endpoint();
  }

  void add_workers(int prefill = 2, int decode = 2) {
    for (int i = 0; i < prefill; ++i) add(WorkerRole::kPrefill, fmt::format("prefill-{}", i));
    for (int i = 0; i < decode; ++i) add(WorkerRole::kDecode, fmt::format("decode-{}", i));
    await_up(static_cast<std::size_t>(prefill) + static_cast<std::size_t>(decode));
  }
  void add(WorkerRole role, const std::string& name) {
    workers_[name] = std::make_unique<WorkerProcess>(role, name, master_.endpoint());
  }
  void await_up(std::size_t count) {
    ASSERT_TRUE(eventually([&] {
      std::size_t up = 0;
      const json cluster = json::parse(get("/mooncake/cluster").body);
      for (const json& instance : cluster["instances"]) up += instance["state"] == "up";
      return up == count;
    })) << get("/mooncake/cluster").body;
  }

  /// Requests that the worker is working on, by its own metrics.
  int running_on(const std::string& worker) {
    const std::string page = workers_.at(worker)->metrics().scrape();
    const std::size_t at = page.find("\nmooncake_serve_running_requests");
    if (at == std::string::npos) return -1;
    return std::stoi(page.substr(page.find(' ', at) + 1));
  }

  net::HttpResponse get(const std::string& path) { return request("GET", path, "", {}); }
  net::HttpResponse post(const std::string& path, const std::string& body, const net::HttpHeaders& headers = {}) {
    return request("POST", path, body, headers);
  }
  net::HttpResponse request(const char* method, const std::string& path, const std::string& body,
                            const net::HttpHeaders& headers) {
    auto response = net::http_request(method, url_ + path, headers, body, test_deadline());
    EXPECT_TRUE(response.ok()) << method << " " << path << ": " << response.status().to_string();
    return response.ok() ? std::move(*response) : net::HttpResponse{};
  }
  static std::string completion(const std::string& prompt, std::uint32_t tokens, const json& more = json::object()) {
    json body = {{"model", "simulated"}, {"prompt", prompt}, {"max_tokens", tokens}, {"temperature", 0}};
    body.update(more);
    return body.dump();
  }
  std::string complete(const std::string& prompt, std::uint32_t tokens) {
    const auto response = post("/v1/completions", completion(prompt, tokens));
    EXPECT_EQ(response.status, 200u) << response.body;
    return response.status == 200 ? json::parse(response.body)["choices"][0]["text"].get<std::string>() : "";
  }

  MasterProcess master_;
  NodeProcess node_{master_.endpoint()};
  std::unique_ptr<GatewayProcess> gateway_;
  std::string url_;
  std::map<std::string, std::unique_ptr<WorkerProcess>> workers_;
};

/// Text of a stream of server-sent events; `on_event` after each chunk of text.
struct StreamReader {
  std::function<void(std::size_t texts)> on_event = [](std::size_t) {};
  std::string rest;
  std::string text;
  std::size_t texts = 0;
  bool done = false;
  json usage;

  bool operator()(std::string_view piece) {
    rest += piece;
    for (std::size_t end = 0; (end = rest.find("\n\n")) != std::string::npos; rest.erase(0, end + 2)) {
      const std::string data = rest.substr(6, end - 6);
      if (data == "[DONE]") {
        done = true;
        continue;
      }
      const json event = json::parse(data);
      EXPECT_FALSE(event.contains("error")) << data;
      if (event.contains("usage") && !event["usage"].is_null()) usage = event["usage"];
      for (const json& choice : event.value("choices", json::array())) {
        text += choice.contains("text") ? choice["text"].get<std::string>() : choice["delta"].value("content", "");
        on_event(++texts);
      }
    }
    return true;
  }
};

TEST_F(GatewayServiceTest, IsReadyOnceAPrefillAndADecodeWorkerAreUp) {
  EXPECT_EQ(get("/livez").status, 200u);
  EXPECT_EQ(get("/health").status, 200u);
  EXPECT_EQ(get("/readyz").status, 503u);
  add_workers(1, 1);
  EXPECT_EQ(get("/readyz").status, 200u);
  EXPECT_EQ(json::parse(get("/v1/models").body)["data"][0]["id"], "simulated");
  EXPECT_EQ(gateway_->service->model(), "simulated") << "what `mooncake up` tells people is what requests name";
  EXPECT_EQ(get("/v1/models/simulated").status, 200u);
  EXPECT_EQ(get("/v1/models/other").status, 404u);
}

TEST_F(GatewayServiceTest, PlainAndStreamedAnswersEqualTheReference) {
  add_workers();
  const std::string prompt = prompt_text(300, 1);
  const std::string expected = reference_text(prompt, 80);
  EXPECT_EQ(complete(prompt, 80), expected);
  StreamReader reader;
  const auto response =
      net::http_request("POST", url_ + "/v1/completions", {},
                        completion(prompt, 80, {{"stream", true}, {"stream_options", {{"include_usage", true}}}}),
                        test_deadline(), std::ref(reader));
  ASSERT_TRUE(response.ok()) << response.status().to_string();
  EXPECT_EQ(reader.text, expected);
  EXPECT_TRUE(reader.done);
  EXPECT_EQ(reader.usage["completion_tokens"], 80);
  EXPECT_EQ(reader.usage["prompt_tokens_details"]["cached_tokens"], 300 - 64)
      << "the first answer published its prompt; the last 64 tokens are computed again";
}

TEST_F(GatewayServiceTest, APrefixIsReusedOnAnotherWorkerAndTheDecisionSaysWhy) {
  add_workers();
  const std::string prefix = prompt_text(640, 2);
  const auto cold =
      post("/v1/completions", completion(prefix + " one", 4), {{"x-mooncake-place-prefill", "prefill-0"}});
  const auto warm =
      post("/v1/completions", completion(prefix + " two", 4), {{"x-mooncake-place-prefill", "prefill-1"}});
  ASSERT_EQ(warm.status, 200u) << warm.body;
  EXPECT_EQ(cold.headers.at("x-mooncake-prefill"), "prefill-0");
  EXPECT_EQ(warm.headers.at("x-mooncake-prefill"), "prefill-1");
  EXPECT_EQ(cold.headers.at("x-mooncake-cached-tokens"), "0");
  EXPECT_EQ(warm.headers.at("x-mooncake-cached-tokens"), "580") << "of 644, all but the last 64";
  EXPECT_EQ(json::parse(warm.body)["choices"][0]["text"], reference_text(prefix + " two", 4));
  const json why = json::parse(get("/mooncake/decisions/" + warm.headers.at("x-request-id")).body);
  EXPECT_EQ(why["outcome"], "ok");
  EXPECT_EQ(why["actual"]["cached_tokens"], 580);
  EXPECT_EQ(why["decisions"][0]["prefill"], "prefill-1");
  EXPECT_GT(why["decisions"][0]["reused_blocks"], 0) << "the Conductor knew";
  EXPECT_EQ(why["decisions"][0]["candidates"].size(), 4u);
  EXPECT_EQ(get("/mooncake/decisions/nothing").status, 404u);
}

TEST_F(GatewayServiceTest, ManyAtOnceAreAllRight) {
  add_workers();
  std::vector<std::string> answers(16);
  std::vector<std::thread> clients;
  for (std::uint32_t i = 0; i < answers.size(); ++i) {
    clients.emplace_back(
        [this, i, &answers] { answers[i] = complete(prompt_text(150, i % 3) + std::to_string(i), 24); });
  }
  for (std::thread& client : clients) client.join();
  for (std::uint32_t i = 0; i < answers.size(); ++i) {
    EXPECT_EQ(answers[i], reference_text(prompt_text(150, i % 3) + std::to_string(i), 24)) << i;
  }
}

TEST_F(GatewayServiceTest, AStreamSurvivesItsDecodeWorker) {
  add_workers();
  const std::string prompt = prompt_text(200, 5);
  StreamReader reader;
  reader.on_event = [this](std::size_t texts) {
    if (texts != 30) return;
    for (const char* name : {"decode-0", "decode-1"}) {
      if (running_on(name) == 1) return workers_.at(name)->kill();
    }
    ADD_FAILURE() << "no decode worker runs the request";
  };
  const auto response =
      net::http_request("POST", url_ + "/v1/completions", {}, completion(prompt, 150, {{"stream", true}}),
                        test_deadline(), std::ref(reader));
  ASSERT_TRUE(response.ok()) << response.status().to_string();
  EXPECT_TRUE(reader.done);
  EXPECT_EQ(reader.text, reference_text(prompt, 150));
}

TEST_F(GatewayServiceTest, AClientThatGoesAwayFreesItsWorkers) {
  add_workers(1, 1);
  const auto response =
      net::http_request("POST", url_ + "/v1/completions", {}, completion("x", 50'000, {{"stream", true}}),
                        test_deadline(), [](std::string_view) { return false; });
  EXPECT_EQ(response.status().code(), Code::kCancelled);
  EXPECT_TRUE(eventually([this] { return gateway_->service->requests_in_flight() == 0; }));
  EXPECT_TRUE(eventually([this] { return running_on("decode-0") == 0; }));
}

TEST_F(GatewayServiceTest, ARequestThatComesBeforeTheWorkersWaitsForThem) {
  std::string answer;
  std::thread client([&] { answer = complete("early", 4); });
  ASSERT_TRUE(eventually([this] { return gateway_->service->requests_in_flight() == 1; }));
  add_workers(1, 1);
  client.join();
  EXPECT_EQ(answer, reference_text("early", 4));
}

TEST_F(GatewayServiceTest, BadRequestsGetClearErrorsAndDisturbNothing) {
  add_workers(1, 1);
  const std::tuple<const char*, std::string, std::uint32_t, const char*> kCases[] = {
      {"/v1/completions", "{", 400, "invalid_json"},
      {"/v1/completions", "{\"prompt\": \"\xff\"}", 400, "invalid_utf8"},
      {"/v1/completions", completion("x", 1, {{"model", "gpt-17"}}), 404, "model_not_found"},
      {"/v1/completions", completion("x", 1, {{"n", 0}}), 400, "invalid_value"},
      {"/v1/completions", "{}", 400, "missing_required_parameter"},
      {"/v1/completions", completion(std::string(200'000, 'x'), 1), 400, "context_length_exceeded"},
      {"/v1/chat/completions", R"({"model": "simulated", "messages": []})", 400, "invalid_value"},
      {"/tokenize", "[]", 400, "invalid_json"},
      {"/v1/nothing", "", 404, "unknown_url"},
  };
  for (const auto& [path, body, status, code] : kCases) {
    const auto response = post(path, body);
    EXPECT_EQ(response.status, status) << path << " " << body.substr(0, 100);
    EXPECT_EQ(json::parse(response.body)["error"]["code"], code) << response.body;
  }
  EXPECT_EQ(get("/v1/completions").status, 405u);
  EXPECT_EQ(post("/v1/completions", completion("x", 1), {{"x-mooncake-place-prefill", "prefill-9"}}).status, 400u);
  EXPECT_EQ(complete("after that", 4), reference_text("after that", 4));
}

class TenantsTest : public GatewayServiceTest {
 protected:
  static GatewayConfig config() {
    GatewayConfig config;
    auto tenants = Tenants::create({{.name = "search"}, {.name = "batch"}},
                                   {{.key = "search-key", .tenant = 0}, {.key = "batch-key", .tenant = 1}}, false);
    EXPECT_TRUE(tenants.ok()) << tenants.status().to_string();
    config.tenants = *tenants;
    return config;
  }
  TenantsTest() : GatewayServiceTest(config()) {}
  static net::HttpHeaders with(const std::string& key) { return {{"authorization", "Bearer " + key}}; }
};

TEST_F(TenantsTest, WithoutAKnownKeyNothingIsServed) {
  add_workers(1, 1);
  for (const net::HttpHeaders& headers :
       {net::HttpHeaders{}, with("search-kez"), with(""), net::HttpHeaders{{"authorization", "search-key"}}}) {
    for (const char* path : {"/v1/completions", "/v1/chat/completions", "/tokenize"}) {
      const auto response = post(path, completion("hello", 2), headers);
      EXPECT_EQ(response.status, 401u) << path;
      const json error = json::parse(response.body)["error"];
      EXPECT_EQ(error["code"], "invalid_api_key");
      EXPECT_EQ(error["type"], "invalid_request_error");
      EXPECT_EQ(response.body.find("search-kez"), std::string::npos) << "no key in an answer";
    }
  }
  EXPECT_EQ(get("/v1/models").status, 401u);
  EXPECT_EQ(request("GET", "/v1/models", "", with("batch-key")).status, 200u);
  for (const char* path : {"/health", "/livez", "/readyz", "/metrics", "/mooncake/cluster"}) {
    EXPECT_EQ(get(path).status, 200u) << path;
  }
}

TEST_F(TenantsTest, NobodyIsToldOfAnotherTenantsRequests) {
  add_workers(1, 1);
  const auto response = post("/v1/completions", completion("hello", 2), with("search-key"));
  ASSERT_EQ(response.status, 200u) << response.body;
  const std::string path = "/mooncake/decisions/" + response.headers.at("x-request-id");
  EXPECT_EQ(get(path).status, 401u);
  EXPECT_EQ(request("GET", path, "", with("batch-key")).status, 404u);
  EXPECT_EQ(request("GET", path, "", with("search-key")).status, 200u);
}

TEST_F(TenantsTest, TenantsDoNotFindEachOthersPrompts) {
  add_workers(2, 1);
  const std::string prompt = prompt_text(400, 3);
  const auto cached = [&](const std::string& key) {
    const auto response = post("/v1/completions", completion(prompt, 20), with(key));
    EXPECT_EQ(response.status, 200u) << response.body;
    EXPECT_EQ(json::parse(response.body)["choices"][0]["text"], reference_text(prompt, 20));
    return json::parse(response.body)["usage"]["prompt_tokens_details"]["cached_tokens"].get<int>();
  };
  EXPECT_EQ(cached("search-key"), 0);
  EXPECT_EQ(cached("batch-key"), 0);
  EXPECT_GT(cached("search-key"), 0);
  EXPECT_GT(cached("batch-key"), 0);
}

TEST_F(GatewayServiceTest, TokenizeCountsWhatThePromptWillCost) {
  const json body = json::parse(post("/tokenize", R"({"content": "hello"})").body);
  EXPECT_EQ(body["count"], 5);
  EXPECT_EQ(body["tokens"].size(), 5u);
  EXPECT_EQ(body["max_model_len"], 131'072);
}

class EarlyAdmissionTest : public GatewayServiceTest {
 protected:
  static GatewayConfig config() {
    GatewayConfig config;
    config.conductor.admission = conductor::AdmissionPolicy::kEarly;
    config.conductor.slo.ttft = Millis(200);
    return config;
  }
  EarlyAdmissionTest() : GatewayServiceTest(config()) {}
};

TEST_F(EarlyAdmissionTest, WhatCannotMeetItsObjectiveIsRefusedWithRetryAfter) {
  add_workers(1, 1);
  // 20 us a token: 20,000 tokens take at least 400 ms alone.
  const auto refused = post("/v1/completions", completion(prompt_text(20'000, 1), 1));
  EXPECT_EQ(refused.status, 503u) << refused.body;
  EXPECT_GE(std::stoi(refused.headers.at("retry-after")), 1);
  const json error = json::parse(refused.body)["error"];
  EXPECT_EQ(error["code"], "slo_unattainable");
  EXPECT_NE(error["message"].get<std::string>().find("TTFT"), std::string::npos);
  EXPECT_EQ(complete("short", 4), reference_text("short", 4)) << "what can be served is";
  EXPECT_NE(get("/metrics").body.find("mooncake_gateway_rejections_total{reason=\"slo_unattainable\"} 1"),
            std::string::npos);
}

}  // namespace
}  // namespace mooncake::serve
