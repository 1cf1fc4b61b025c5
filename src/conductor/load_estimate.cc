#include "conductor/load_estimate.h"

#include <algorithm>

namespace mooncake::conductor {
namespace {

template <typename T>
T excess(T reported, T own) {
  return reported > own ? reported - own : T{0};
}

}  // namespace

void LoadEstimate::on_stats(const InstanceStats& stats, Instant now) {
  const WorkLine& line = bookings_.prefill_line(stats.id);
  const DecodeLoad& own = bookings_.decode_line(stats.id).all();
  Bias& bias = biases_[stats.id];
  bias.at = now;
  bias.work = stats.outstanding - line.left_of_pushed_by(now - kReportLag, now);
  bias.prompts = std::int64_t{stats.running} + stats.queued - line.size_of_pushed_by(now - kReportLag);
  bias.requests = excess(stats.running + stats.queued, own.requests);
  bias.kv_tokens = excess(stats.kv_tokens_used, own.kv_tokens);
}

Nanos LoadEstimate::prefill_queue(InstanceId instance, Instant now) const {
  const WorkLine& line = bookings_.prefill_line(instance);
  return with_bias(instance, line.left(now), line.size() > 0, now);
}

Nanos LoadEstimate::prefill_wait(InstanceId instance, const Tenant& tenant, Nanos predicted, Instant now) const {
  const WorkLine& line = bookings_.prefill_line(instance);
  return with_bias(instance, line.left_before(tenant, predicted, now), line.size() > 0, now);
}

// Foreign work drains with time too; as long as ours is in the line, the line drains for both.
Nanos LoadEstimate::with_bias(InstanceId instance, Nanos own, bool any, Instant now) const {
  const Bias known = bias(instance);
  const Nanos drained = any ? Nanos{0} : now - known.at;
  return std::max(Nanos{0}, own + (known.work > Nanos{0} ? excess(known.work, drained) : known.work));
}

std::uint32_t LoadEstimate::prefill_requests(InstanceId instance) const {
  const std::int64_t own = bookings_.prefill_line(instance).size();
  return static_cast<std::uint32_t>(std::max(std::int64_t{0}, own + bias(instance).prompts));
}

DecodeLoad LoadEstimate::decode(InstanceId instance) const {
  DecodeLoad load = bookings_.decode_line(instance).all();
  load += foreign_decode(instance);
  return load;
}

DecodeLoad LoadEstimate::foreign_decode(InstanceId instance) const {
  const Bias known = bias(instance);
  // Of others' requests we do not know how much is prompt.
  return {.requests = known.requests, .kv_tokens = known.kv_tokens, .prompt_tokens = known.kv_tokens};
}

LoadEstimate::Bias LoadEstimate::bias(InstanceId instance) const {
  const auto at = biases_.find(instance);
  return at == biases_.end() ? Bias{} : at->second;
}

}  // namespace mooncake::conductor
