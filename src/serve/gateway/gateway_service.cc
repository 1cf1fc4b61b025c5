#include "serve/gateway/gateway_service.h"

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/log.h"
#include "base/rng.h"
#include "conductor/journal.h"
#include "kvcache/cost_model.h"
#include "serve/gateway/cluster_actions.h"
#include "serve/gateway/dispatcher.h"
#include "serve/gateway/front_door.h"
#include "serve/methods.h"
#include "store/client/membership.h"

namespace mooncake::serve {
namespace {

using conductor::Role;

nlohmann::ordered_json instance_json(const InstanceTable& table, const Instance& instance) {
  return {{"name", instance.member.name},
          {"role", instance.member.role},
          {"state", instance_state_name(instance.state)},
          {"endpoint", instance.member.endpoint},
          {"node", table.node_name(instance.node)},
          {"running", instance.stats.running},
          {"queued", instance.stats.queued},
          {"outstanding_ms", to_ms(instance.stats.outstanding)},
          {"tbt_ms", to_ms(instance.stats.tbt)},
          {"kv_tokens_used", instance.stats.kv_tokens_used},
          {"kv_tokens_max", instance.kv_tokens_max}};
}

// Everything that belongs to the loop. Handlers that the transfer engine keeps for good reach it through weak pointers.
class GatewayCore {
 public:
  GatewayCore(const GatewayConfig& config, const engine::ModelFront& front, std::unique_ptr<conductor::Conductor> brain,
              transfer::TransferEngine& engine, std::shared_ptr<LoadBoard> board, GatewayMetrics& metrics)
      : config_(config),
        front_(front),
        engine_(engine),
        loop_(engine.executor()),
        board_(std::move(board)),
        conductor_(std::move(brain)),
        instances_(front.layout.model.to_string(), config.stats_period, engine,
                   {.changed = [this](const conductor::InstanceChange& change) { on_change(change); },
                    .stats = [this](const conductor::InstanceStats& stats) { on_stats(stats); },
                    .lost = [this](const Instance& instance) { dispatcher_.on_instance_lost(instance); }}),
        placer_(config.conductor, *conductor_, instances_),
        dispatcher_({.request_deadline = config.request_deadline,
                     .capacity_wait = config.capacity_wait,
                     .first_may_wait = config.conductor.admission == conductor::AdmissionPolicy::kNone,
                     .model = front.layout.model.to_string()},
                    {.engine = engine,
                     .front = front,
                     .conductor = *conductor_,
                     .instances = instances_,
                     .placer = placer_,
                     .log = log_,
                     .metrics = metrics}) {}

  void join() {
    const store::Member self{.role = "gateway",
                             .name = config_.name,
                             .endpoint = engine_.name(),
                             .epoch = random_seed(),
                             .attached_node = {},
                             .model = front_.layout.model.to_string()};
    if (config_.conductor.elastic || config_.conductor.replicate) {
      actions_.emplace(self, ClusterActions::Parts{.conductor = *conductor_,
                                                   .instances = instances_,
                                                   .engine = engine_,
                                                   .in_use = [this](conductor::InstanceId instance) {
                                                     return dispatcher_.uses(instance);
                                                   }});
    }
    membership_ = store::Membership::create(
        {.master = config_.master, .self = self, .watch_members = true, .watch_cache = true}, engine_,
        {.joined = config_.on_joined ? config_.on_joined : [] {},
         .members = [this](const std::vector<store::Member>& members) { on_members(members); },
         .cache = [this](std::vector<store::CacheChange> changes) { on_cache(std::move(changes)); }});
  }

  void on_peer_lost(transfer::PeerHandle peer) { instances_.on_peer_lost(peer); }

  void on_tokens(std::string_view payload, transfer::Responder responder) {
    responder.reply(
        receive_tokens(payload, [this](const std::string& id, const TokenArrival& arrival, std::uint32_t cached) {
          return dispatcher_.on_token(id, arrival, cached);
        }));
  }

  void begin(Arrival arrival) { dispatcher_.begin(std::move(arrival)); }

  [[nodiscard]] std::string cluster_body() const {
    nlohmann::ordered_json body = {{"model", front_.model.id}, {"gateway", config_.name}};
    body["instances"] = nlohmann::ordered_json::array();
    for (const Instance* instance : instances_.list())
      body["instances"].push_back(instance_json(instances_, *instance));
    return body.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
  }

  [[nodiscard]] std::optional<std::string> decision_body(std::string_view id, std::string_view tenant) const {
    const RequestRecord* record = log_.find(id);
    if (record == nullptr || record->tenant != tenant) return std::nullopt;
    return serve::decision_body(*record);
  }

 private:
  [[nodiscard]] Instant now() const { return loop_.clock().now(); }

  void on_members(const std::vector<store::Member>& members) {
    instances_.on_members(members);
    if (actions_) actions_->on_members(members);
  }

  void on_change(const conductor::InstanceChange& change) {
    conductor_->on_instance(change, now());
    board_->prefill_up = instances_.up_count(Role::kPrefill);
    board_->decode_up = instances_.up_count(Role::kDecode);
    publish_load();
    if (change.kind != conductor::InstanceChange::Kind::kUp) return;
    log_info("{} is up", change.name);
    // Not from within the table's own change.
    loop_.post([this, alive = std::weak_ptr(alive_)] {
      if (!alive.expired()) dispatcher_.on_instance_up();
    });
  }

  void on_stats(const conductor::InstanceStats& stats) {
    conductor_->on_stats(stats, now());
    publish_load();
  }

  // A request that arrives before the shortest queue has drained to the objective would break it even with no prompt;
  // unless its tenant's turn comes before most of the queue. What workers say of their queues follows the profile, so
  // one that was not measured here is no reason to refuse.
  void publish_load() {
    if (config_.conductor.admission == conductor::AdmissionPolicy::kNone || config_.tenants->told_apart()) return;
    if (config_.conductor.shadow_prefills > 0) return;
    std::optional<Instant> busy_until;
    for (const Instance* instance : instances_.list()) {
      if (instance->role != Role::kPrefill || instance->state != InstanceState::kUp) continue;
      const Instant until = instance->stats_at + instance->stats.outstanding - config_.conductor.slo.ttft;
      busy_until = std::min(busy_until.value_or(until), until);
    }
    board_->busy_until = busy_until.value_or(Instant{});
  }

  void on_cache(std::vector<store::CacheChange> changes) {
    std::vector<conductor::CacheEvent> events;
    events.reserve(changes.size());
    for (store::CacheChange& change : changes) {
      using Kind = conductor::CacheEvent::Kind;
      const Kind kind = change.kind == store::CacheChange::Kind::kStored    ? Kind::kStored
                        : change.kind == store::CacheChange::Kind::kRemoved ? Kind::kRemoved
                                                                            : Kind::kCleared;
      events.push_back({.kind = kind, .node = instances_.node_id(change.node), .keys = std::move(change.keys)});
    }
    conductor_->on_cache(events, now());
  }

  const GatewayConfig config_;
  const engine::ModelFront& front_;
  transfer::TransferEngine& engine_;
  Executor& loop_;
  const std::shared_ptr<LoadBoard> board_;  // shared with requests, which may outlive us by a moment
  const std::unique_ptr<conductor::Conductor> conductor_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // tasks in flight hold it weakly
  DecisionLog log_;
  InstanceTable instances_;
  Placer placer_;
  Dispatcher dispatcher_;
  std::optional<ClusterActions> actions_;          // if there can be any
  std::unique_ptr<store::Membership> membership_;  // last: it calls into the others
};

class Service final : public GatewayService {
 public:
  Service(const GatewayConfig& config, engine::ModelFront front, std::unique_ptr<conductor::Conductor> brain,
          transfer::TransferEngine& engine, Executor& loop, Metrics& metrics)
      : front_(std::move(front)),
        metrics_(std::make_shared<GatewayMetrics>(metrics)),
        core_(std::make_shared<GatewayCore>(config, front_, std::move(brain), engine, board_, *metrics_)),
        backend_(std::make_shared<Backend>(
            Backend{.begin = [core = core_.get()](Arrival arrival) { core->begin(std::move(arrival)); },
                    .cluster_body = [core = core_.get()] { return core->cluster_body(); },
                    .decision_body = [core = core_.get()](
                                         std::string_view id,
                                         std::string_view tenant) { return core->decision_body(id, tenant); }})),
        door_({.requests_max = config.requests_max,
               .wait_for_workers = config.conductor.admission == conductor::AdmissionPolicy::kNone,
               .tenants = config.tenants},
              front_, loop, board_, *metrics_, metrics, backend_) {
    const std::weak_ptr<GatewayCore> weak = core_;
    engine.serve(kMethodTokens,
                 [weak](transfer::PeerHandle, const std::string& payload, transfer::Responder responder) {
                   const auto core = weak.lock();
                   if (core == nullptr)
                     return responder.reply(Status(Code::kUnavailable, "the gateway is shutting down"));
                   core->on_tokens(payload, std::move(responder));
                 });
    engine.on_peer_lost([weak](transfer::PeerHandle peer) {
      if (const auto core = weak.lock()) core->on_peer_lost(peer);
    });
    metrics.on_scrape([board = board_, counters = metrics_] {
      counters->set_in_flight(board->in_flight);
      counters->set_instances(board->prefill_up, board->decode_up);
    });
  }

  // Clients first: no new request comes in. Then the requests that are open, which answer through the server.
  ~Service() override {
    if (http_ != nullptr) http_->stop_accepting();
    backend_.reset();
    core_.reset();
    http_.reset();
  }

  Status listen(net::HttpServerConfig config) {
    auto server = net::HttpServer::create(
        std::move(config), [this](const std::shared_ptr<net::HttpExchange>& exchange) { door_.handle(exchange); });
    if (!server.ok()) return server.status();
    http_ = std::move(*server);
    return {};
  }
  void join() { core_->join(); }

  [[nodiscard]] const std::string& endpoint() const override { return http_->endpoint(); }
  [[nodiscard]] const std::string& model() const override { return front_.model.id; }
  [[nodiscard]] bool ready() const override { return board_->ready(); }
  [[nodiscard]] std::uint32_t workers_up() const override { return board_->workers_up(); }
  void stop_accepting() override { http_->stop_accepting(); }
  [[nodiscard]] std::uint32_t requests_in_flight() const override { return board_->in_flight; }

 private:
  const engine::ModelFront front_;
  const std::shared_ptr<LoadBoard> board_ = std::make_shared<LoadBoard>();  // shared with the metrics page
  const std::shared_ptr<GatewayMetrics> metrics_;                           // likewise
  std::shared_ptr<GatewayCore> core_;  // shared so that the transfer engine's handlers can hold it weakly
  std::shared_ptr<const Backend> backend_;
  FrontDoor door_;
  std::unique_ptr<net::HttpServer> http_;
};

Result<std::unique_ptr<conductor::Conductor>> make_brain(const GatewayConfig& config) {
  if (config.decision_log.empty()) {
    return conductor::Conductor::create(config.conductor, kvcache::make_cost_model(config.cost_profile));
  }
  auto log = std::make_shared<std::ofstream>(config.decision_log, std::ios::binary | std::ios::trunc);
  if (!*log) return Status(Code::kUnavailable, "the decision log " + config.decision_log + " cannot be written");
  return conductor::make_journaling(config.conductor, config.cost_profile, std::move(log));
}

}  // namespace

Result<std::unique_ptr<GatewayService>> GatewayService::create(GatewayConfig config, transfer::TransferEngine& engine,
                                                               Executor& loop, Metrics& metrics) {
  CHECK(&engine.executor() == &loop);
  MC_ASSIGN_OR_RETURN(engine::ModelFront front, engine::load_model_front(config.model));
  config.conductor.block_tokens = front.layout.block_tokens;
  MC_ASSIGN_OR_RETURN(auto brain, make_brain(config));
  auto service = std::make_unique<Service>(config, std::move(front), std::move(brain), engine, loop, metrics);
  MC_RETURN_IF_ERROR(service->listen(config.http));
  service->join();
  return Result<std::unique_ptr<GatewayService>>(std::move(service));
}

}  // namespace mooncake::serve
