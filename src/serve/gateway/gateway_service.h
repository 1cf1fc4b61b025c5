// GatewayService: the front door. An OpenAI-compatible HTTP endpoint before a pool of prefill and decode workers, with
// the Conductor inside. It holds no durable state: several may run side by side, and one that dies loses its open
// streams only.
//
//   POST /v1/chat/completions, /v1/completions   plain JSON or server-sent events
//   GET  /v1/models, /v1/models/{id}
//   POST /tokenize                      {"prompt" | "content": text} -> {"count", "tokens", "max_model_len"}
//   GET  /health, /livez, /metrics
//   GET  /readyz                        503 until a prefill and a decode instance are up
//   GET  /mooncake/cluster              {"model", "gateway", "instances": [{"name", "role", "state", ...}]}
//   GET  /mooncake/decisions/{id}       why the request went where it went: gateway/decision_log.h
//
// Answers carry x-request-id, x-mooncake-prefill, x-mooncake-decode, x-mooncake-cached-tokens and
// x-mooncake-ttft-ms-predicted. Loopback clients may steer with x-mooncake-place-prefill: NAME.
//
// With tenants (gateway/tenants.h) /v1/ and /tokenize need "Authorization: Bearer KEY", else 401.
//
// Source: docs/serving.md.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/executor.h"
#include "base/metrics.h"
#include "base/status.h"
#include "base/time.h"
#include "conductor/conductor.h"
#include "conductor/later_attempts.h"
#include "engine/engine.h"
#include "kvcache/cost_model.h"
#include "net/http_server.h"
#include "serve/gateway/tenants.h"
#include "transfer/transfer_engine.h"

namespace mooncake::serve {

/// Two threads, so that a long prompt being tokenized on one does not hold up the streams of the other.
inline constexpr std::uint32_t kGatewayHttpThreads = 2;
/// Load and liveness of every worker are asked for this often; also how stale a prediction can be.
inline constexpr Millis kStatsPeriod{250};

struct GatewayConfig {
  std::string name = "gateway-0";  ///< member name in the cluster
  net::HttpServerConfig http{.io_threads = kGatewayHttpThreads};
  engine::EngineConfig model;            ///< which tokenizer and model facts to load; no weights are
  std::string master;                    ///< transfer endpoint
  conductor::ConductorConfig conductor;  ///< block_tokens is taken from the model
  std::string decision_log;              ///< the Conductor's journal goes to this file; empty: nowhere
  kvcache::CostProfile cost_profile = *kvcache::builtin_profile("laptop");  ///< of the workers' engine and machines
  Nanos request_deadline = Seconds(600);  ///< of a whole request, from arrival to the last token
  /// How long a request waits for a first instance of a role to come up.
  Nanos capacity_wait = conductor::kCapacityWait;
  Nanos stats_period = kStatsPeriod;
  std::shared_ptr<const Tenants> tenants = Tenants::everybody();  ///< shared by the HTTP threads
  std::uint32_t requests_max = 4096;  ///< in flight; beyond it 503 at once. About 1 MB each with a long prompt
  /// Called once on the loop after the first successful join. May be empty.
  std::function<void()> on_joined;
};

class GatewayService {
 public:
  /// Loads the model front, joins the cluster and starts to listen. `engine`, `loop` (which is also `engine`'s
  /// executor) and `metrics` must outlive the service.
  /// @return kUnavailable when the address cannot be bound, what load_model_front() says about the model.
  static Result<std::unique_ptr<GatewayService>> create(GatewayConfig config, transfer::TransferEngine& engine,
                                                        Executor& loop, Metrics& metrics);
  /// Cancels every open request at the workers and closes every connection. On the loop's thread, or once the loop has
  /// stopped.
  virtual ~GatewayService() = default;

  /// "127.0.0.1:8080", with the real port. Any thread.
  [[nodiscard]] virtual const std::string& endpoint() const = 0;
  /// The id of the model, by which requests name it. Any thread.
  [[nodiscard]] virtual const std::string& model() const = 0;
  /// True while at least one prefill and one decode instance are up. Any thread.
  [[nodiscard]] virtual bool ready() const = 0;
  /// Prefill and decode instances that requests can be sent to. Any thread.
  [[nodiscard]] virtual std::uint32_t workers_up() const = 0;
  /// Stops accepting connections; open requests go on. Any thread.
  virtual void stop_accepting() = 0;
  /// Requests that have not been answered completely. Any thread.
  [[nodiscard]] virtual std::uint32_t requests_in_flight() const = 0;
};

}  // namespace mooncake::serve
