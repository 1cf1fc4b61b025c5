#include "serve/messages.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>

#include "proto/serve.pb.h"

namespace mooncake::serve {
namespace {

double sane_ms(double ms) { return std::isfinite(ms) && ms > 0 ? std::min(ms, double{kWireTimeMsMax}) : 0; }

template <typename Message>
Result<Message> parse(std::string_view payload) {
  Message message;
  if (!message.ParseFromArray(payload.data(), static_cast<int>(payload.size()))) {
    return Status(Code::kCorrupt, fmt::format("{} bytes are no {}", payload.size(), message.GetTypeName()));
  }
  return message;
}

}  // namespace

void fill(const AnswerParams& answer, pb::Sampling& wire) {
  wire.set_temperature(answer.temperature);
  wire.set_top_p(answer.top_p);
  wire.set_seed(answer.seed);
  wire.set_choice(answer.choice);
  wire.set_tokens_max(answer.tokens_max);
  wire.set_ignore_end(answer.ignore_end);
}

std::string encode(const PrefillReport& report) {
  pb::PrefillReply wire;
  wire.set_cached_tokens(report.cached_tokens);
  wire.set_published_blocks(report.published_blocks);
  wire.set_node(report.node);
  wire.set_queue_ms(report.queue_ms);
  wire.set_fetch_ms(report.fetch_ms);
  wire.set_prefill_ms(report.prefill_ms);
  wire.set_transfer_ms(report.transfer_ms);
  wire.set_kv_checksum(report.kv_checksum);
  return wire.SerializeAsString();
}

Result<PrefillReport> parse_prefill_report(std::string_view payload) {
  MC_ASSIGN_OR_RETURN(const auto wire, parse<pb::PrefillReply>(payload));
  return PrefillReport{.cached_tokens = wire.cached_tokens(),
                       .published_blocks = wire.published_blocks(),
                       .node = wire.node(),
                       .queue_ms = sane_ms(wire.queue_ms()),
                       .fetch_ms = sane_ms(wire.fetch_ms()),
                       .prefill_ms = sane_ms(wire.prefill_ms()),
                       .transfer_ms = sane_ms(wire.transfer_ms()),
                       .kv_checksum = wire.kv_checksum()};
}

std::string encode(const WorkerStats& stats) {
  pb::StatsReply wire;
  wire.set_role(stats.role);
  wire.set_queued_requests(stats.queued);
  wire.set_running_requests(stats.running);
  wire.set_outstanding_ms(stats.outstanding_ms);
  wire.set_kv_tokens_used(stats.kv_tokens_used);
  wire.set_kv_tokens_max(stats.kv_tokens_max);
  wire.set_tbt_ms(stats.tbt_ms);
  wire.set_sequences_max(stats.sequences_max);
  wire.set_model(stats.model);
  wire.set_draining(stats.draining);
  wire.set_threads(stats.threads);
  return wire.SerializeAsString();
}

Result<WorkerStats> parse_worker_stats(std::string_view payload) {
  MC_ASSIGN_OR_RETURN(const auto wire, parse<pb::StatsReply>(payload));
  return WorkerStats{.role = wire.role(),
                     .queued = wire.queued_requests(),
                     .running = wire.running_requests(),
                     .outstanding_ms = sane_ms(wire.outstanding_ms()),
                     .kv_tokens_used = wire.kv_tokens_used(),
                     .kv_tokens_max = wire.kv_tokens_max(),
                     .tbt_ms = sane_ms(wire.tbt_ms()),
                     .sequences_max = wire.sequences_max(),
                     .model = wire.model(),
                     .draining = wire.draining(),
                     .threads = wire.threads()};
}

std::string encode_cancel(std::string_view id) {
  pb::CancelRequest request;
  request.set_request_id(std::string(id));
  return request.SerializeAsString();
}

std::string encode_change_role(std::string_view role) {
  pb::ChangeRoleRequest request;
  request.set_role(std::string(role));
  return request.SerializeAsString();
}

std::string encode_replicate(std::span<const Key128> keys) {
  pb::ReplicateRequest request;
  for (const Key128& key : keys) {
    request.add_keys(key.high);
    request.add_keys(key.low);
  }
  return request.SerializeAsString();
}

}  // namespace mooncake::serve
