// Parts for tests that run real workers in one process: each with a loop, a transfer engine and an engine thread of its
// own, joined by the real transfer engine; a gateway that only collects tokens; a reference that needs none of it.
#pragma once

#include <future>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "base/rng.h"
#include "engine/generate.h"
#include "engine/simulated/simulated_engine.h"
#include "engine/simulated/simulated_model.h"
#include "kvcache/block_key.h"
#include "net/event_loop.h"
#include "proto/serve.pb.h"
#include "serve/methods.h"
#include "serve/worker/map_store.h"
#include "serve/worker/worker_service.h"
#include "transfer/transfer_engine.h"

namespace mooncake::serve {

/// Far longer than anything here takes, also under sanitizers.
inline constexpr Seconds kTestTimeout{60};
inline Deadline test_deadline() { return SteadyClock().now() + kTestTimeout; }

/// One process of the cluster, as far as a test needs one.
class TestProcess {
 public:
  explicit TestProcess(const std::string& name) : loop_(net::EventLoop::create(name.substr(0, 15))) {
    auto engine = transfer::TransferEngine::create({.node_name = name}, *loop_);
    CHECK(engine.ok());
    transfer_ = std::move(engine).value();
  }
  virtual ~TestProcess() { stop(); }
  TestProcess(const TestProcess&) = delete;
  TestProcess& operator=(const TestProcess&) = delete;

  /// Ends the process as far as its peers can see.
  void stop() {
    if (!transfer_) return;
    transfer_.reset();
    loop_->stop();
  }
  /// Runs `task` on the loop and waits for it.
  void on_loop(Task task) {
    std::promise<void> ran;
    loop_->post([&] {
      task();
      ran.set_value();
    });
    ran.get_future().wait();
  }
  Result<std::string> call(const std::string& endpoint, std::uint16_t method, std::string payload) {
    const auto peer = transfer_->connect(endpoint);
    if (!peer.ok()) return peer.status();
    return transfer_->call_and_wait(*peer, method, std::move(payload), test_deadline());
  }
  [[nodiscard]] std::string endpoint() const { return transfer_->name(); }
  [[nodiscard]] transfer::TransferEngine& transfer() { return *transfer_; }
  [[nodiscard]] net::EventLoop& loop() { return *loop_; }
  [[nodiscard]] Metrics& metrics() { return metrics_; }

 protected:
  std::unique_ptr<net::EventLoop> loop_;
  Metrics metrics_;
  std::unique_ptr<transfer::TransferEngine> transfer_;
};

struct TestWorkerConfig {
  WorkerRole role = WorkerRole::kPrefill;
  std::string name;
  std::uint32_t sequences_max = 8;
  std::uint64_t arena_bytes = 64ull << 20;
  engine::simulated::SimulatedTimes times{Nanos{0}, Nanos{0}};
  WorkerCallbacks callbacks{};
};

class TestWorker : public TestProcess {
 public:
  TestWorker(TestWorkerConfig config, MapStore& store) : TestProcess(config.name), store_(store, loop()) {
    const engine::EngineConfig engine{.kind = "simulated",
                                      .model_path = "",
                                      .threads = 1,
                                      .sequences_max = config.sequences_max,
                                      .context_tokens = 4096,
                                      .chunk_tokens = 256};
    auto service =
        WorkerService::create_with({.role = config.role,
                                    .name = config.name,
                                    .engine = engine,
                                    .master = "",
                                    .attached_node = "",
                                    .arena_bytes = config.arena_bytes},
                                   std::make_unique<engine::simulated::SimulatedEngine>(engine, config.times), &store_,
                                   transfer(), loop(), metrics(), std::move(config.callbacks));
    CHECK(service.ok());
    service_ = std::move(service).value();
    loop().start();
  }
  ~TestWorker() override { kill(); }

  /// As kill -9 looks from outside.
  void kill() {
    if (!service_) return;
    on_loop([this] { service_.reset(); });
    stop();
  }
  [[nodiscard]] WorkerService& service() { return *service_; }

 private:
  MapStoreClient store_;
  std::unique_ptr<WorkerService> service_;
};

/// What came for one request.
struct TestAnswer {
  std::vector<engine::Token> tokens;  ///< by index, the first one at first_index
  std::optional<std::uint32_t> first_index;
  std::uint32_t cached_tokens = 0;
  pb::Finish finish = pb::FINISH_NONE;
  Code error = Code::kOk;
  bool in_order = true;
};

class TestGateway : public TestProcess {
 public:
  explicit TestGateway(const std::string& name = "gateway") : TestProcess(name) {
    transfer().serve(kMethodTokens,
                     [this](transfer::PeerHandle, const std::string& payload, transfer::Responder responder) {
                       pb::TokenBatch batch;
                       CHECK(batch.ParseFromString(payload));
                       pb::TokenBatchReply reply;
                       MutexLock lock(mutex_);
                       for (const pb::TokenEvent& event : batch.events()) take(event);
                       changed_.notify_all();
                       responder.reply(reply.SerializeAsString());
                     });
    loop().start();
  }
  ~TestGateway() override { stop(); }  // no handler runs from here on

  /// Sends the request; the reply of the prefill worker comes later.
  std::future<Result<std::string>> prefill(const std::string& worker, const pb::PrefillRequest& request) {
    auto promise = std::make_shared<std::promise<Result<std::string>>>();
    auto future = promise->get_future();
    const auto peer = transfer().connect(worker);
    CHECK(peer.ok());
    transfer().call(*peer, kMethodPrefill, request.SerializeAsString(), test_deadline(),
                    [promise](Result<std::string> reply) { promise->set_value(std::move(reply)); });
    return future;
  }

  /// Waits until the answer has ended, or at least `tokens` tokens of it have come.
  TestAnswer await(const std::string& id, std::size_t tokens = SIZE_MAX) {
    const Deadline deadline = test_deadline();
    MutexLock lock(mutex_);
    for (;;) {
      const TestAnswer& answer = answers_[id];
      if (answer.finish != pb::FINISH_NONE || answer.tokens.size() >= tokens) return answer;
      CHECK(changed_.wait_until(mutex_, deadline));
    }
  }

  pb::StatsReply stats(const std::string& worker) {
    auto reply = call(worker, kMethodStats, "");
    CHECK(reply.ok());
    pb::StatsReply stats;
    CHECK(stats.ParseFromString(*reply));
    return stats;
  }
  void cancel(const std::string& worker, const std::string& id) {
    pb::CancelRequest request;
    request.set_request_id(id);
    CHECK(call(worker, kMethodCancel, request.SerializeAsString()).ok());
  }

 private:
  void take(const pb::TokenEvent& event) REQUIRES(mutex_) {
    TestAnswer& answer = answers_[event.request_id()];
    if (event.finish() == pb::FINISH_ERROR) {
      answer.finish = event.finish();
      answer.error = code_from_wire(event.code());
      return;
    }
    if (event.index() == 0) answer.cached_tokens = event.cached_tokens();
    if (!answer.first_index) answer.first_index = event.index();
    // An attempt that recovers sends its first token again; the client has it.
    const std::uint32_t next = *answer.first_index + static_cast<std::uint32_t>(answer.tokens.size());
    if (event.index() != next) answer.in_order = false;
    answer.tokens.push_back(static_cast<engine::Token>(event.token()));
    answer.finish = event.finish();
  }

  Mutex mutex_;
  CondVar changed_;
  std::map<std::string, TestAnswer> answers_ GUARDED_BY(mutex_);
};

/// `count` printable tokens; another seed, other tokens.
inline std::vector<engine::Token> test_prompt(std::uint32_t count, std::uint32_t seed) {
  std::vector<engine::Token> tokens(count);
  for (std::uint32_t i = 0; i < count; ++i) {
    tokens[i] = static_cast<engine::Token>(32 + splitmix64(std::uint64_t{seed} << 32 | i) % 95);
  }
  return tokens;
}

/// The answer as one process gives it, with no cache, no transfer and no other request.
inline std::vector<engine::Token> reference_answer(const std::vector<engine::Token>& prompt, const pb::Sampling& how) {
  engine::simulated::SimulatedEngine engine({.kind = "simulated",
                                             .model_path = "",
                                             .threads = 1,
                                             .sequences_max = 1,
                                             .context_tokens = 4096,
                                             .chunk_tokens = 512},
                                            {Nanos{0}, Nanos{0}});
  const auto generated = engine::generate(engine,
                                          {.prompt = prompt,
                                           .tokens_max = how.tokens_max(),
                                           .temperature = how.temperature(),
                                           .top_p = how.top_p(),
                                           .seed = how.seed(),
                                           .ignore_end = how.ignore_end()},
                                          {.token = nullptr, .block = nullptr});
  CHECK(generated.ok());
  return generated->tokens;
}

}  // namespace mooncake::serve
