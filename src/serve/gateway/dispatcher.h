// Dispatcher: carries out what the Generations of all requests ask for: decides through the Placer, calls prefill
// workers, takes tokens, answers clients, and gives up what nobody wants any more.
//
//   begin -> place -> kMethodPrefill -> tokens -> answer
//               ^------ retry ----------'
//
// Choices after the first begin when the first's prompt is published: they then reuse it instead of computing it n
// times. Thread-compatible: belongs to the loop.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "base/executor.h"
#include "conductor/conductor.h"
#include "engine/engine.h"
#include "serve/gateway/active_request.h"
#include "serve/gateway/gateway_metrics.h"
#include "serve/gateway/instance_table.h"
#include "serve/gateway/wire.h"
#include "transfer/transfer_engine.h"

namespace mooncake::serve {

/// Nobody waits for the answer of a cancel.
inline constexpr Seconds kCancelTimeout{5};

struct DispatcherConfig {
  Nanos request_deadline{};
  Nanos capacity_wait{};       ///< how long to wait for a worker to come up
  bool first_may_wait = true;  ///< false: a first attempt that finds no worker up is refused at once
  std::string model{};         ///< hex fingerprint
};

class Dispatcher {
 public:
  /// What it works with; all must outlive it.
  struct Parts {
    transfer::TransferEngine& engine;
    const engine::ModelFront& front;
    conductor::Conductor& conductor;
    InstanceTable& instances;
    Placer& placer;
    DecisionLog& log;
    GatewayMetrics& metrics;
  };
  Dispatcher(DispatcherConfig config, Parts parts);
  /// Cancels everything at the workers and answers every open request with 503.
  ~Dispatcher();
  Dispatcher(const Dispatcher&) = delete;
  Dispatcher& operator=(const Dispatcher&) = delete;

  void begin(Arrival arrival);
  /// A TokenSink.
  bool on_token(const std::string& attempt_id, const TokenArrival& arrival, std::uint32_t cached_tokens);
  void on_instance_lost(const Instance& instance);
  /// A worker came up: whoever waits for one decides again.
  void on_instance_up();
  /// Whether an attempt is placed on that instance, also if the worker has not heard of it yet. O(requests).
  [[nodiscard]] bool uses(conductor::InstanceId instance) const;

 private:
  using Request = std::shared_ptr<ActiveRequest>;  // shared by the table and the callbacks that are running
  struct AttemptRef {
    std::weak_ptr<ActiveRequest> request;
    std::uint32_t choice = 0;
  };

  void begin_choice(const Request& request, std::uint32_t index);
  void begin_other_choices(const Request& request);
  void run(const Request& request, std::uint32_t index, Effects effects);
  void decide_at(const Request& request, std::uint32_t index, Nanos delay);
  void decide(const Request& request, std::uint32_t index);
  void wait_for_worker(const Request& request, std::uint32_t index, const NobodyUp& why);
  void undecided(const Request& request, std::uint32_t index, openai::ApiError error);
  void submit(const Request& request, std::uint32_t index);
  void on_prefill_reply(const std::string& attempt_id, Result<std::string> payload);
  void reconsider(const Request& request, std::uint32_t index);
  void learn(ActiveRequest& request, std::uint32_t index, const PrefillReport& report);
  void show(const Request& request, std::uint32_t index, engine::Token token);
  void start_answer(ActiveRequest& request, const Choice& choice);
  void cancel(const Choice& choice, conductor::Role role);
  void end_choice(const Request& request, std::uint32_t index, const Effect& end);
  void forget_attempt(Choice& choice);
  void fail(const Request& request, const openai::ApiError& error);
  void client_gone(const Request& request);
  void abandon_all(const Request& request, const Status& why);
  void close(ActiveRequest& request, std::uint32_t http_status, std::string outcome);
  [[nodiscard]] Instant now() const { return loop_.clock().now(); }

  const DispatcherConfig config_;
  const Parts parts_;
  Executor& loop_;
  std::map<std::string, Request, std::less<>> requests_;
  std::map<std::string, AttemptRef, std::less<>> attempts_;     // by id on the wire
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // callbacks in flight hold it weakly
};

}  // namespace mooncake::serve
