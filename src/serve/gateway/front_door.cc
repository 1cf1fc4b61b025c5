#include "serve/gateway/front_door.h"

#include <fmt/core.h>

#include <array>
#include <chrono>

#include "base/check.h"
#include "base/metrics.h"
#include "base/rng.h"
#include "serve/openai/response.h"

namespace mooncake::serve {
namespace {

using openai::Api;
using openai::ApiError;

constexpr std::string_view kDecisionsPath = "/mooncake/decisions/";
constexpr std::string_view kModelsPath = "/v1/models/";

const net::HttpHeaders kJson = {{"content-type", "application/json"}};

void respond_error(net::HttpExchange& exchange, const ApiError& error) {
  exchange.respond(error.http_status, openai::error_headers(error), openai::error_body(error));
}

std::int64_t unix_time_s() {
  return std::chrono::duration_cast<Seconds>(std::chrono::system_clock::now().time_since_epoch()).count();
}

bool is_post_path(std::string_view path) {
  return path == "/v1/chat/completions" || path == "/v1/completions" || path == "/tokenize";
}

bool is_get_path(std::string_view path) {
  static constexpr std::array<std::string_view, 6> kPaths = {"/v1/models", "/health",  "/livez",
                                                             "/readyz",    "/metrics", "/mooncake/cluster"};
  for (const std::string_view known : kPaths) {
    if (path == known) return true;
  }
  return path.starts_with(kModelsPath) || path.starts_with(kDecisionsPath);
}

/// What is served to tenants, and what is said of their requests; the rest is for those who run the cluster, and for
/// probes.
bool needs_key(std::string_view path) {
  return is_post_path(path) || path.starts_with("/v1/") || path.starts_with(kDecisionsPath);
}

ApiError shutting_down() {
  return openai::overloaded("shutting_down", "The gateway is shutting down.", "Send the request again.", {});
}

}  // namespace

FrontDoor::FrontDoor(FrontDoorConfig config, const engine::ModelFront& front, Executor& loop,
                     std::shared_ptr<LoadBoard> board, GatewayMetrics& metrics, Metrics& all_metrics,
                     std::weak_ptr<const Backend> backend)
    : config_(config),
      front_(front),
      loop_(loop),
      board_(std::move(board)),
      metrics_(metrics),
      all_metrics_(all_metrics),
      backend_(std::move(backend)),
      created_s_(unix_time_s()) {}

void FrontDoor::handle(const std::shared_ptr<net::HttpExchange>& exchange) {
  const net::HttpRequest& request = exchange->request();
  const bool post = is_post_path(request.path);
  if (!post && !is_get_path(request.path)) return respond_error(*exchange, openai::unknown_path(request.path));
  if (request.method != (post ? "POST" : "GET")) {
    const ApiError error = openai::wrong_method(request.method, request.path);
    net::HttpHeaders headers = openai::error_headers(error);
    headers.emplace_back("allow", post ? "POST" : "GET");
    return exchange->respond(error.http_status, std::move(headers), openai::error_body(error));
  }
  const ServedTenant* tenant = config_.tenants->find(bearer_key(request.header("authorization")));
  if (tenant == nullptr && needs_key(request.path)) {
    metrics_.on_answer(401);
    return respond_error(*exchange, openai::unauthorized());
  }
  if (!post) return get(exchange, tenant);
  if (request.path == "/tokenize") return tokenize(exchange);
  complete(request.path == "/v1/completions" ? Api::kText : Api::kChat, exchange, *tenant);
}

void FrontDoor::complete(Api api, const Exchange& exchange, const ServedTenant& tenant) {
  const Instant started = loop_.clock().now();
  std::string id = new_id(api);
  InFlight in_flight(board_);
  if (const auto error = refuse_early(started)) return refuse(exchange, id, *error);
  PreparedRequest prepared;
  if (const auto error = prepare(api, exchange->request().body, front_, tenant, prepared)) {
    return refuse(exchange, id, *error);
  }
  const net::HttpRequest& request = exchange->request();
  const Nanos took = loop_.clock().now() - started;
  metrics_.on_prepared(took);
  Arrival arrival{.id = std::move(id),
                  .prepared = std::move(prepared),
                  .place_prefill = {},
                  .exchange = exchange,
                  .in_flight = std::move(in_flight),
                  .created_s = unix_time_s(),
                  .prepare_took = took};
  if (request.remote_is_loopback) arrival.place_prefill = request.header("x-mooncake-place-prefill");
  loop_.post([backend = backend_, moved = std::move(arrival)]() mutable {
    const auto live = backend.lock();
    if (live == nullptr) return respond_error(*moved.exchange, shutting_down());
    live->begin(std::move(moved));
  });
}

std::optional<ApiError> FrontDoor::refuse_early(Instant now) const {
  if (board_->in_flight > config_.requests_max) {
    return openai::overloaded("too_many_requests",
                              fmt::format("The gateway has {} requests in flight, its limit.", config_.requests_max),
                              "Wait for Retry-After seconds.", {});
  }
  if (!board_->ready() && !config_.wait_for_workers) {
    return openai::overloaded("no_capacity", "No prefill or no decode worker is up.",
                              "Wait until GET /readyz answers 200.", {});
  }
  const Instant busy_until = board_->busy_until;
  if (now < busy_until) {
    return openai::overloaded(
        "slo_unattainable",
        "Refused because the latency objectives cannot be met now: on every prefill worker the queue alone breaks the "
        "TTFT objective.",
        "Wait for Retry-After seconds, or add workers.", busy_until - now);
  }
  return {};
}

void FrontDoor::refuse(const Exchange& exchange, const std::string& id, const ApiError& error) {
  if (error.http_status == 503) {
    metrics_.on_rejection(error.code, loop_.clock().now() - exchange->request().received);
  }
  metrics_.on_answer(error.http_status);
  net::HttpHeaders headers = openai::error_headers(error);
  headers.emplace_back("x-request-id", id);
  exchange->respond(error.http_status, std::move(headers), openai::error_body(error));
}

void FrontDoor::tokenize(const Exchange& exchange) {
  std::string text;
  if (const auto error = openai::read_tokenize_request(exchange->request().body, text)) {
    return respond_error(*exchange, *error);
  }
  const auto tokens = front_.tokenizer->tokenize(text, false);
  if (!tokens.ok()) return respond_error(*exchange, openai::api_error(tokens.status()));
  exchange->respond(200, kJson, openai::tokenize_body(*tokens, front_.model.context_tokens));
}

void FrontDoor::get(const Exchange& exchange, const ServedTenant* tenant) {
  const std::string_view path = exchange->request().path;
  if (path == "/health" || path == "/livez") return exchange->respond(200, kJson, "{\"status\":\"ok\"}");
  if (path == "/readyz") {
    const bool ready = board_->ready();
    return exchange->respond(
        ready ? 200 : 503, kJson,
        fmt::format("{{\"status\":\"{}\",\"prefill_up\":{},\"decode_up\":{}}}", ready ? "ready" : "waiting for workers",
                    board_->prefill_up.load(), board_->decode_up.load()));
  }
  if (path == "/metrics") {
    return exchange->respond(200, {{"content-type", "text/plain; version=0.0.4"}}, all_metrics_.scrape());
  }
  if (path == "/v1/models") {
    return exchange->respond(200, kJson, openai::models_body(front_.model.id, created_s_, front_.model.context_tokens));
  }
  if (path == "/mooncake/cluster") {
    return get_from_loop(exchange, [](const Backend& backend) { return std::optional(backend.cluster_body()); });
  }
  if (path.starts_with(kModelsPath)) return get_model(exchange, path.substr(kModelsPath.size()));
  CHECK(tenant != nullptr);
  get_from_loop(exchange, [id = std::string(path.substr(kDecisionsPath.size())),
                           name = tenant->name](const Backend& backend) { return backend.decision_body(id, name); });
}

void FrontDoor::get_model(const Exchange& exchange, std::string_view id) {
  if (id != front_.model.id) return respond_error(*exchange, openai::model_not_found(id, front_.model.id));
  exchange->respond(200, kJson, openai::model_body(id, created_s_, front_.model.context_tokens));
}

void FrontDoor::get_from_loop(const Exchange& exchange,
                              std::function<std::optional<std::string>(const Backend&)> body) {
  loop_.post([backend = backend_, exchange, body = std::move(body)] {
    const auto live = backend.lock();
    if (live == nullptr) return respond_error(*exchange, shutting_down());
    std::optional<std::string> found = body(*live);
    if (found.has_value()) return exchange->respond(200, kJson, *std::move(found));
    ApiError error = openai::unknown_path(exchange->request().path);
    error.code = "unknown_request";
    error.message = "This gateway does not remember that request.";
    error.hint = "The id is in the answer's x-request-id header; the last 4,096 are kept.";
    respond_error(*exchange, error);
  });
}

// 96 random bits: unique over processes and restarts, and one's own id says nothing about others'.
std::string FrontDoor::new_id(Api api) {
  return fmt::format("{}-{:016x}{:08x}", api == Api::kChat ? "chatcmpl" : "cmpl", random_seed(), random_seed() >> 32);
}

}  // namespace mooncake::serve
