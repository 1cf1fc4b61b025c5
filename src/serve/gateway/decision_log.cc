#include "serve/gateway/decision_log.h"

#include <nlohmann/json.hpp>

namespace mooncake::serve {
namespace {

using nlohmann::ordered_json;

ordered_json or_null(const std::optional<double>& value) {
  if (!value.has_value()) return nullptr;
  return *value;
}

ordered_json or_null(const std::string& text) {
  if (text.empty()) return nullptr;
  return text;
}

ordered_json candidate_json(const CandidateRecord& candidate) {
  const conductor::Candidate& cost = candidate.cost;
  const bool prefill = cost.role == conductor::Role::kPrefill;
  ordered_json json = {
      {"name", candidate.name}, {"role", prefill ? "prefill" : "decode"}, {"chosen", candidate.chosen}};
  if (prefill) {
    json["local_prefix_blocks"] = cost.local_prefix_blocks;
    json["reused_blocks"] = cost.reused_blocks;
    json["fetch_from"] = or_null(candidate.fetch_from);
    json["queue_ms"] = to_ms(cost.queue);
    json["transfer_ms"] = to_ms(cost.transfer);
    json["prefill_ms"] = to_ms(cost.prefill);
    json["ttft_ms"] = to_ms(cost.ttft);
  } else {
    json["tbt_ms"] = to_ms(cost.tbt);
  }
  return json;
}

ordered_json decision_json(const DecisionRecord& record) {
  const conductor::Decision& decision = record.decision;
  const bool accepted = decision.verdict == conductor::Verdict::kAccept;
  ordered_json json = {{"choice", record.choice},
                       {"attempt", record.attempt},
                       {"accepted", accepted},
                       {"reason", decision.reason},
                       {"prefill", or_null(record.prefill)},
                       {"decode", or_null(record.decode)},
                       {"recompute", decision.recompute},
                       {"reused_blocks", decision.reused_blocks},
                       {"predicted_ttft_ms", to_ms(decision.predicted_ttft)},
                       {"predicted_tbt_ms", to_ms(decision.predicted_tbt)}};
  json["retry_after_ms"] = accepted ? ordered_json(nullptr) : ordered_json(to_ms(decision.retry_after));
  json["candidates"] = ordered_json::array();
  for (const CandidateRecord& candidate : record.candidates) json["candidates"].push_back(candidate_json(candidate));
  return json;
}

}  // namespace

std::shared_ptr<RequestRecord> DecisionLog::open(std::string id) {
  if (requests_.size() == requests_max_) {
    const auto oldest = by_id_.find(requests_.front()->id);
    if (oldest != by_id_.end() && oldest->second == requests_.front().get()) by_id_.erase(oldest);
    requests_.pop_front();
  }
  auto record = std::make_shared<RequestRecord>();
  record->id = std::move(id);
  by_id_[record->id] = record.get();
  requests_.push_back(record);
  return record;
}

const RequestRecord* DecisionLog::find(std::string_view id) const {
  const auto entry = by_id_.find(id);
  return entry == by_id_.end() ? nullptr : entry->second;
}

std::string decision_body(const RequestRecord& record) {
  ordered_json body = {{"request_id", record.id},
                       {"outcome", record.outcome},
                       {"http_status", record.http_status},
                       {"error", or_null(record.error)},
                       {"prompt_tokens", record.prompt_tokens},
                       {"answer_tokens", record.answer_tokens},
                       {"choices", record.choices},
                       {"attempts", record.attempts}};
  body["actual"] = {{"prefill", or_null(record.prefill)},         {"decode", or_null(record.decode)},
                    {"cached_tokens", record.cached_tokens},      {"published_blocks", record.published_blocks},
                    {"kv_checksum", or_null(record.kv_checksum)}, {"queue_ms", or_null(record.queue_ms)},
                    {"fetch_ms", or_null(record.fetch_ms)},       {"prefill_ms", or_null(record.prefill_ms)},
                    {"transfer_ms", or_null(record.transfer_ms)}, {"ttft_ms", or_null(record.ttft_ms)},
                    {"total_ms", or_null(record.total_ms)}};
  body["decisions"] = ordered_json::array();
  for (const DecisionRecord& decision : record.decisions) body["decisions"].push_back(decision_json(decision));
  return body.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
}

}  // namespace mooncake::serve
