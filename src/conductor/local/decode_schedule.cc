#include "conductor/local/decode_schedule.h"

namespace mooncake::conductor {

DecodeSchedule::DecodeSchedule(const DecodeLimits& limits)
    : landing_({.holders_max = limits.landings_max,
                .amount_max = limits.landing_bytes_max,
                .waiting_max = limits.waiting_max}),
      batch_({.holders_max = limits.sequences_max,
              .amount_max = limits.kv_tokens_max,
              .waiting_max = limits.waiting_max}) {}

Status DecodeSchedule::reserve(RequestNumber request, std::uint64_t landing_bytes, std::uint64_t kv_tokens) {
  if (kv_tokens > batch_.limits().amount_max) {
    return {Code::kOutOfRange, "needs KVCache for " + std::to_string(kv_tokens) + " tokens, this worker has room for " +
                                   std::to_string(batch_.limits().amount_max)};
  }
  if (kv_tokens_.contains(request)) return {Code::kAlreadyExists, "request is here already"};
  MC_RETURN_IF_ERROR(landing_.ask(request, landing_bytes).annotate("landing area"));
  kv_tokens_.emplace(request, kv_tokens);
  return {};
}

Status DecodeSchedule::landed(RequestNumber request) {
  const auto known = kv_tokens_.find(request);
  if (known == kv_tokens_.end() || !landing_.holds(request)) {
    return {Code::kNotFound, "request holds no landing area here (it was cancelled, or its reservation ended)"};
  }
  return batch_.ask(request, known->second).annotate("batch");
}

bool DecodeSchedule::release(RequestNumber request) {
  landing_.release(request);
  batch_.release(request);
  return kv_tokens_.erase(request) > 0;
}

}  // namespace mooncake::conductor
