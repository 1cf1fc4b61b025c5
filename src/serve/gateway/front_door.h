// FrontDoor: the HTTP side of the gateway: routes requests, refuses early what is hopeless, prepares the rest on the
// HTTP threads and hands it to the loop.
//
// If the gateway has tenants, /v1/, /tokenize and what is said of single requests need an API key. There are two stages
// before a request costs anything: without reading its body, when nobody could serve it in time (the LoadBoard); then
// by its fields. The Conductor's verdict, with block keys, is the third. Threads: handle() is called on any HTTP
// thread; the backend runs on the loop.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/executor.h"
#include "engine/engine.h"
#include "net/http_server.h"
#include "serve/gateway/active_request.h"
#include "serve/gateway/gateway_metrics.h"
#include "serve/gateway/load_board.h"
#include "serve/gateway/tenants.h"
#include "serve/openai/api_error.h"

namespace mooncake {
class Metrics;
}

namespace mooncake::serve {

/// What needs the loop. Called there, and not after the owner's end.
struct Backend {
  std::function<void(Arrival)> begin;
  std::function<std::string()> cluster_body;
  std::function<std::optional<std::string>(std::string_view id, std::string_view tenant)> decision_body;
};

struct FrontDoorConfig {
  std::uint32_t requests_max = 0;
  bool wait_for_workers = true;            ///< a request may come before the first worker is up
  std::shared_ptr<const Tenants> tenants;  ///< never null; shared with the service's configuration
};

class FrontDoor {
 public:
  /// References must outlive it; `backend` may end earlier, requests then get 503.
  FrontDoor(FrontDoorConfig config, const engine::ModelFront& front, Executor& loop, std::shared_ptr<LoadBoard> board,
            GatewayMetrics& metrics, Metrics& all_metrics, std::weak_ptr<const Backend> backend);

  void handle(const std::shared_ptr<net::HttpExchange>& exchange);

 private:
  using Exchange = std::shared_ptr<net::HttpExchange>;

  void complete(openai::Api api, const Exchange& exchange, const ServedTenant& tenant);
  [[nodiscard]] std::optional<openai::ApiError> refuse_early(Instant now) const;
  void refuse(const Exchange& exchange, const std::string& id, const openai::ApiError& error);
  void tokenize(const Exchange& exchange);
  void get(const Exchange& exchange, const ServedTenant* tenant);
  void get_model(const Exchange& exchange, std::string_view id);
  void get_from_loop(const Exchange& exchange, std::function<std::optional<std::string>(const Backend&)> body);
  [[nodiscard]] std::string new_id(openai::Api api);

  const FrontDoorConfig config_;
  const engine::ModelFront& front_;
  Executor& loop_;
  const std::shared_ptr<LoadBoard> board_;  // shared with requests, which may outlive the service by a moment
  GatewayMetrics& metrics_;
  Metrics& all_metrics_;
  const std::weak_ptr<const Backend> backend_;
  const std::int64_t created_s_;
};

}  // namespace mooncake::serve
