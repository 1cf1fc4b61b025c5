#include "sim/cluster/journeys.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/check.h"
#include "kvcache/chunk_plan.h"
#include "sim/cluster/cluster_parts.h"
#include "sim/cluster/node_roles.h"

namespace mooncake::sim {

using Stage = Journey::Stage;

Journeys::Journeys(const Trace& trace, const ClusterConfig& config)
    : trace_(trace),
      config_(config),
      first_decode_node_(instance_slots(config).first_decode_node),
      journeys_(trace.requests.size()) {}

void Journeys::arrive(std::uint32_t request) {
  if (config_.mtbf) open_.insert(request);
}

void Journeys::end(std::uint32_t request) {
  CHECK(journeys_[request].stage != Stage::kEnded);
  journeys_[request].stage = Stage::kEnded;
  if (config_.mtbf) open_.erase(request);
}

void Journeys::first_token(std::uint32_t request, Instant now) {
  Journey& journey = journeys_[request];
  if (journey.answer_tokens > 0) journey.gaps.push_back(now - journey.last_token);
  ++journey.answer_tokens;
  journey.last_token = now;
}

DecodeBatch::Member Journeys::joins(std::uint32_t request) {
  Journey& journey = journeys_[request];
  return {.request = request,
          .steps = trace_.requests[request].output_tokens - journey.answer_tokens,
          .context = std::uint64_t{prompt_tokens(request)} + 1,
          .previous_token = journey.last_token,
          .gaps = std::exchange(journey.gaps, {})};
}

void Journeys::give_up(DecodeBatch::GivenUp given_up) {
  Journey& journey = journeys_[given_up.request];
  journey.answer_tokens += given_up.steps;
  journey.last_token = given_up.previous_token;
  journey.gaps = std::move(given_up.gaps);
}

void Journeys::lose_attempt(std::uint32_t request) {
  Journey& lost = journeys_[request];
  lost = {.attempts_lost = lost.attempts_lost + 1,
          .answer_in_prompt = lost.answer_tokens,
          .answer_tokens = lost.answer_tokens,
          .last_token = lost.last_token,
          .gaps = std::move(lost.gaps)};
}

std::span<const TraceBlock> Journeys::blocks_of(std::uint32_t request) const {
  const TraceRequest& traced = trace_.requests[request];
  const auto blocks = trace_.blocks_of(traced);
  if (journeys_[request].answer_in_prompt == 0) return blocks;
  return blocks.first(std::min<std::size_t>(blocks.size(), traced.input_tokens / kTraceBlockTokens));
}

std::uint32_t Journeys::answer_tokens_max(std::uint32_t request) const {
  if (config_.prefill_only) return 0;
  const std::uint32_t had = journeys_[request].answer_in_prompt;
  return had < kAnswerTokensMax ? kAnswerTokensMax - had : 1;
}

std::uint32_t Journeys::reused_tokens(std::uint32_t request) const {
  return kvcache::reusable_tokens(prompt_tokens(request), journeys_[request].reused_blocks * kTraceBlockTokens,
                                  /*block_tokens=*/1, kComputedTokensMin);
}

bool Journeys::answered(std::uint32_t request) const {
  return journeys_[request].answer_tokens >= trace_.requests[request].output_tokens;
}

template <typename Predicate>
std::vector<std::uint32_t> Journeys::open_where(const Predicate& predicate) const {
  std::vector<std::uint32_t> found;
  std::ranges::copy_if(open_, std::back_inserter(found),
                       [&](std::uint32_t request) { return predicate(journeys_[request]); });
  return found;
}

std::vector<std::uint32_t> Journeys::lost_with(std::uint32_t node) const {
  return open_where([&](const Journey& journey) {
    const bool needs_prefill = journey.stage == Stage::kPrefill || journey.stage == Stage::kSending;
    const bool needs_decode = needs_prefill || journey.stage == Stage::kDecode;
    return (needs_prefill && journey.prefill == node) || (needs_decode && first_decode_node_ + journey.decode == node);
  });
}

std::vector<std::uint32_t> Journeys::fetching_from(std::uint32_t node, Instant now) const {
  return open_where([&](const Journey& journey) {
    return journey.stage == Stage::kPrefill && journey.fetched_at > now && journey.fetch_from == node;
  });
}

std::vector<std::uint32_t> Journeys::undecided() const {
  return open_where([](const Journey& journey) { return journey.stage == Stage::kUndecided; });
}

}  // namespace mooncake::sim
