#include "conductor/journal_codec.h"

#include "conductor/instance_table.h"
#include "kvcache/prefix_index.h"

namespace mooncake::conductor::journal {
namespace {

template <typename Id>
auto number_of(Id id) {
  return static_cast<std::underlying_type_t<Id>>(id);
}

Nanos nanos(const Json& json) { return Nanos(json.get<std::int64_t>()); }

/// An enumerator by its number, of `count`.
template <typename Enum>
Enum enum_from(const Json& json, unsigned count, const char* what) {
  const auto value = json.get<std::uint64_t>();
  if (value >= count) throw OutOfRange(std::string("there is no ") + what + " " + std::to_string(value));
  return static_cast<Enum>(value);
}

InstanceId instance_id(const Json& json) {
  const auto id = json.get<std::uint64_t>();
  if (id >= kInstancesMax) throw OutOfRange("instance " + std::to_string(id) + " is beyond the limit");
  return InstanceId{static_cast<std::uint32_t>(id)};
}

NodeId node_id(const Json& json) {
  const auto id = json.get<std::uint64_t>();
  if (id >= kvcache::PrefixIndex::kNodesMax) throw OutOfRange("node " + std::to_string(id) + " is beyond the limit");
  return NodeId{static_cast<std::uint32_t>(id)};
}

Json keys_to_json(std::span<const Key128> keys) {
  Json json = Json::array();
  for (const Key128& key : keys) json.push_back({key.high, key.low});
  return json;
}

std::vector<Key128> keys_from(const Json& json) {
  std::vector<Key128> keys;
  keys.reserve(json.size());
  for (const Json& key : json) keys.push_back({key.at(0).get<std::uint64_t>(), key.at(1).get<std::uint64_t>()});
  return keys;
}

template <typename T>
Json optional_json(const std::optional<T>& value) {
  return value ? Json(*value) : Json(nullptr);
}

Json to_json(const Slo& slo) { return {{"ttft", slo.ttft.count()}, {"tbt", slo.tbt.count()}}; }
Slo slo_from(const Json& json) { return {.ttft = nanos(json.at("ttft")), .tbt = nanos(json.at("tbt"))}; }

Json to_json(const Candidate& candidate) {
  Json json = {{"instance", number_of(candidate.instance)},
               {"role", number_of(candidate.role)},
               {"local", candidate.local_prefix_blocks},
               {"reused", candidate.reused_blocks},
               {"from", number_of(candidate.fetch_from)},
               {"queue", candidate.queue.count()},
               {"transfer", candidate.transfer.count()},
               {"prefill", candidate.prefill.count()},
               {"ttft", candidate.ttft.count()},
               {"tbt", candidate.tbt.count()}};
  // Only with SSDs, and where tenants take turns: without them journals are what they were.
  if (candidate.ssd_blocks > 0) json["ssd"] = candidate.ssd_blocks;
  if (candidate.fetched_ssd_blocks > 0) json["fetched_ssd"] = candidate.fetched_ssd_blocks;
  if (candidate.outstanding != candidate.queue) json["outstanding"] = candidate.outstanding.count();
  return json;
}

Tenant tenant_from(const Json& json) {
  Tenant tenant;
  tenant.id = TenantId{json.value("tenant", number_of(tenant.id))};
  const auto weight = json.value("weight", std::uint64_t{tenant.weight});
  if (weight == 0 || weight > kTenantWeightMax) throw OutOfRange("a weight of " + std::to_string(weight));
  tenant.weight = static_cast<std::uint32_t>(weight);
  return tenant;
}

}  // namespace

Json to_json(const ConductorConfig& config) {
  return {{"placement", placement_name(config.placement)},
          {"admission", admission_name(config.admission)},
          {"slo", to_json(config.slo)},
          {"balancing_threshold", config.balancing_threshold},
          {"block_tokens", config.block_tokens},
          {"computed_tokens_min", config.computed_tokens_min},
          {"decode_time", config.decode_time.count()},
          {"shadow_prefills", config.shadow_prefills},
          {"seed", config.seed},
          {"elastic", config.elastic},
          {"replicate", config.replicate}};
}

ConductorConfig config_from(const Json& json) {
  ConductorConfig config;
  const auto placement = parse_placement(json.at("placement").get<std::string>());
  const auto admission = parse_admission(json.at("admission").get<std::string>());
  if (!placement.ok()) throw OutOfRange(placement.status().message());
  if (!admission.ok()) throw OutOfRange(admission.status().message());
  config.placement = *placement;
  config.admission = *admission;
  config.slo = slo_from(json.at("slo"));
  config.balancing_threshold = json.at("balancing_threshold").get<double>();
  config.block_tokens = json.at("block_tokens").get<std::uint32_t>();
  if (config.block_tokens == 0) throw OutOfRange("a block needs at least one token");
  config.computed_tokens_min = json.at("computed_tokens_min").get<std::uint32_t>();
  config.decode_time = nanos(json.at("decode_time"));
  config.shadow_prefills = json.value("shadow_prefills", 0u);
  config.seed = json.at("seed").get<std::uint64_t>();
  config.elastic = json.value("elastic", false);
  config.replicate = json.value("replicate", false);
  return config;
}

Json to_json(const RequestView& request) {
  return {{"request", number_of(request.number)},
          {"prompt_tokens", request.prompt_tokens},
          {"keys", keys_to_json(request.block_keys)},
          {"answer_tokens_max", request.answer_tokens_max},
          {"place_prefill", request.place_prefill ? Json(number_of(*request.place_prefill)) : Json(nullptr)},
          {"slo", to_json(request.slo)},
          {"priority", number_of(request.priority)},
          {"tenant", number_of(request.tenant.id)},
          {"weight", request.tenant.weight}};
}

RequestView request_from(const Json& json, std::vector<Key128>& keys) {
  RequestView request;
  request.number = RequestNumber{json.at("request").get<std::uint64_t>()};
  request.prompt_tokens = json.at("prompt_tokens").get<std::uint32_t>();
  keys = keys_from(json.at("keys"));
  request.block_keys = keys;
  request.answer_tokens_max = json.at("answer_tokens_max").get<std::uint32_t>();
  if (const Json& steered = json.at("place_prefill"); !steered.is_null()) request.place_prefill = instance_id(steered);
  request.slo = slo_from(json.at("slo"));
  // Journals from before there were priorities and tenants do not have these.
  if (json.contains("priority")) request.priority = enum_from<Priority>(json.at("priority"), 3, "priority");
  request.tenant = tenant_from(json);
  return request;
}

Json to_json(const Decision& decision) {
  Json candidates = Json::array();
  for (const Candidate& candidate : decision.candidates) candidates.push_back(to_json(candidate));
  return {{"verdict", number_of(decision.verdict)},
          {"prefill", number_of(decision.prefill)},
          {"decode", number_of(decision.decode)},
          {"recompute", decision.recompute},
          {"reuse_blocks_max", optional_json(decision.reuse_blocks_max)},
          {"reused_blocks", decision.reused_blocks},
          {"predicted_ttft", decision.predicted_ttft.count()},
          {"predicted_tbt", decision.predicted_tbt.count()},
          {"reason", decision.reason},
          {"retry_after", decision.retry_after.count()},
          {"candidates", std::move(candidates)}};
}

Json to_json(const std::optional<Refusal>& refusal) {
  if (!refusal) return nullptr;
  return {{"reason", refusal->reason}, {"retry_after", refusal->retry_after.count()}};
}

Json to_json(std::span<const Action> actions) {
  Json json = Json::array();
  for (const Action& action : actions) {
    Json& line = json.emplace_back(Json{{"kind", number_of(action.kind)}});
    switch (action.kind) {
      case Action::Kind::kChangeRole:
        line["instance"] = number_of(action.instance);
        line["role"] = number_of(action.role);
        break;
      case Action::Kind::kReplicate:
        line["from"] = number_of(action.from);
        line["to"] = number_of(action.to);
        line["keys"] = keys_to_json(action.keys);
        line["first"] = action.first_block;
        break;
    }
  }
  return json;
}

Json to_json(const CacheEvent& event) {
  Json json = {{"kind", number_of(event.kind)}, {"node", number_of(event.node)}, {"keys", keys_to_json(event.keys)}};
  if (event.tier != Tier::kMemory) json["tier"] = number_of(event.tier);
  return json;
}

CacheEvent cache_event_from(const Json& json) {
  return {.kind = enum_from<CacheEvent::Kind>(json.at("kind"), 3, "kind of cache event"),
          .node = node_id(json.at("node")),
          .tier = json.contains("tier") ? enum_from<Tier>(json.at("tier"), 2, "tier") : Tier::kMemory,
          .keys = keys_from(json.at("keys"))};
}

Json to_json(const InstanceStats& stats) {
  return {{"instance", number_of(stats.id)}, {"outstanding", stats.outstanding.count()}, {"running", stats.running},
          {"queued", stats.queued},          {"kv_tokens_used", stats.kv_tokens_used},   {"tbt", stats.tbt.count()}};
}

InstanceStats stats_from(const Json& json) {
  return {.id = instance_id(json.at("instance")),
          .outstanding = nanos(json.at("outstanding")),
          .running = json.at("running").get<std::uint32_t>(),
          .queued = json.at("queued").get<std::uint32_t>(),
          .kv_tokens_used = json.at("kv_tokens_used").get<std::uint64_t>(),
          .tbt = nanos(json.at("tbt"))};
}

Json to_json(const InstanceChange& change) {
  return {{"kind", number_of(change.kind)},          {"instance", number_of(change.id)},
          {"role", number_of(change.role)},          {"name", change.name},
          {"node", number_of(change.attached_node)}, {"sequences_max", change.sequences_max},
          {"kv_tokens_max", change.kv_tokens_max}};
}

InstanceChange instance_from(const Json& json) {
  return {.kind = enum_from<InstanceChange::Kind>(json.at("kind"), 3, "kind of change"),
          .id = instance_id(json.at("instance")),
          .role = enum_from<Role>(json.at("role"), 2, "role"),
          .name = json.at("name").get<std::string>(),
          .attached_node = node_id(json.at("node")),
          .sequences_max = json.at("sequences_max").get<std::uint32_t>(),
          .kv_tokens_max = json.at("kv_tokens_max").get<std::uint64_t>()};
}

Phase phase_from(const Json& json) { return enum_from<Phase>(json, 5, "phase"); }

}  // namespace mooncake::conductor::journal
