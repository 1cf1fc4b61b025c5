#include "serve/gateway/placer.h"

#include <fmt/core.h>

#include <algorithm>

#include "base/check.h"
#include "conductor/later_attempts.h"

namespace mooncake::serve {
namespace {

using conductor::Role;
using conductor::Verdict;
using openai::ApiError;

constexpr std::string_view kSteerHeader = "x-mooncake-place-prefill";

}  // namespace

ApiError refused(const conductor::Refusal& refusal) {
  if (refusal.retry_after <= Nanos{}) {
    return openai::invalid_field("max_tokens", "This request can never be served here: " + refusal.reason + ".",
                                 "context_length_exceeded");
  }
  return openai::overloaded("slo_unattainable",
                            "Refused because the latency objectives cannot be met now: " + refusal.reason + ".",
                            "Wait for Retry-After seconds, or add workers.", refusal.retry_after);
}

Placer::Placer(conductor::ConductorConfig config, conductor::Conductor& conductor, InstanceTable& instances)
    : config_(config), conductor_(conductor), instances_(instances) {}

PlaceOutcome Placer::place(const PlaceQuestion& question, RequestRecord& record, Instant now) {
  std::optional<conductor::InstanceId> steered;
  if (auto error = steer(question, steered)) return *std::move(error);
  for (const Role role : {Role::kPrefill, Role::kDecode}) {
    if (instances_.up_count(role) > 0) continue;
    return NobodyUp{fmt::format("no {} worker is up", role == Role::kPrefill ? "prefill" : "decode")};
  }
  const PreparedRequest& prepared = *question.prepared;
  const conductor::RequestNumber number{++last_number_};
  conductor::Decision decision =
      conductor_.on_request({.number = number,
                             .prompt_tokens = static_cast<std::uint32_t>(prepared.prompt.size()),
                             .block_keys = prepared.block_keys,
                             .answer_tokens_max = std::max(prepared.tokens_max - question.emitted_tokens, 1u),
                             .place_prefill = steered,
                             .slo = question.admitted() ? conductor::kNoObjectives : config_.slo,
                             .priority = prepared.request.priority,
                             .tenant = prepared.tenant.turn},
                            now);
  if (decision.verdict == Verdict::kReject) {
    ApiError error =
        refused({.kind = decision.refusal, .reason = decision.reason, .retry_after = decision.retry_after});
    write_down(question, std::move(decision), record);
    return error;
  }
  Placed where = placed(decision, number);
  write_down(question, std::move(decision), record);
  return where;
}

// A later attempt goes where it can: the client asked for a worker that has just been lost.
std::optional<ApiError> Placer::steer(const PlaceQuestion& question, std::optional<conductor::InstanceId>& out) const {
  if (question.place_prefill.empty()) return {};
  const Instance* instance = instances_.find(question.place_prefill);
  const std::string header(kSteerHeader);
  if (instance == nullptr || instance->role != Role::kPrefill) {
    return openai::invalid_field(
        header, fmt::format("{}: there is no prefill worker '{}'; GET /mooncake/cluster lists them.", header,
                            question.place_prefill.substr(0, 100)));
  }
  if (instance->state == InstanceState::kUp) {
    out = instance->id;
  } else if (!question.admitted()) {
    return openai::overloaded("no_capacity",
                              fmt::format("{}: prefill worker '{}' is {}.", header, question.place_prefill,
                                          instance_state_name(instance->state)),
                              "Choose another, or leave the header out.", {});
  }
  return {};
}

void Placer::write_down(const PlaceQuestion& question, conductor::Decision decision, RequestRecord& record) const {
  DecisionRecord entry;
  entry.choice = question.choice;
  entry.attempt = question.attempt;
  const bool accepted = decision.verdict == Verdict::kAccept;
  if (accepted) {
    entry.prefill = instances_.name(decision.prefill);
    entry.decode = instances_.name(decision.decode);
  }
  for (conductor::Candidate& cost : decision.candidates) {
    const conductor::InstanceId chosen = cost.role == Role::kPrefill ? decision.prefill : decision.decode;
    const bool fetches = cost.reused_blocks > cost.local_prefix_blocks;
    entry.candidates.push_back({.name = instances_.name(cost.instance),
                                .fetch_from = fetches ? instances_.node_name(cost.fetch_from) : std::string(),
                                .chosen = accepted && cost.instance == chosen,
                                .cost = cost});
  }
  decision.candidates.clear();
  entry.decision = std::move(decision);
  record.decisions.push_back(std::move(entry));
}

Placed Placer::placed(const conductor::Decision& decision, conductor::RequestNumber number) const {
  const Instance* prefill = instances_.find(decision.prefill);
  const Instance* decode = instances_.find(decision.decode);
  CHECK(prefill != nullptr && decode != nullptr);  // the Conductor knows only what the table told it
  Placed where{.number = number,
               .prefill = prefill->id,
               .decode = decode->id,
               .prefill_name = prefill->member.name,
               .decode_name = decode->member.name,
               .prefill_endpoint = prefill->member.endpoint,
               .decode_endpoint = decode->member.endpoint,
               .reuse_blocks_max = decision.reuse_blocks_max,
               .predicted_ttft = decision.predicted_ttft};
  const auto cost = std::ranges::find_if(decision.candidates, [&](const conductor::Candidate& candidate) {
    return candidate.role == Role::kPrefill && candidate.instance == decision.prefill;
  });
  if (cost == decision.candidates.end()) return where;
  where.predicted_ms = to_ms(cost->prefill);
  // Without admission a long queue is no reason to refuse, so the worker need not compare it with our view.
  if (config_.admission != conductor::AdmissionPolicy::kNone) {
    where.expected_ms = to_ms(cost->outstanding + cost->prefill);
  }
  return where;
}

}  // namespace mooncake::serve
