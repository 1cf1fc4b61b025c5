#include "serve/gateway/wire.h"

#include <cmath>
#include <set>

#include "proto/serve.pb.h"

namespace mooncake::serve {
namespace {

double sane_ms(double ms) { return std::isfinite(ms) && ms > 0 ? ms : 0; }

TokenArrival::Kind kind_of(pb::Finish finish) {
  switch (finish) {
    case pb::FINISH_STOP:
      return TokenArrival::Kind::kEndToken;
    case pb::FINISH_LENGTH:
      return TokenArrival::Kind::kLastToken;
    case pb::FINISH_ERROR:
      return TokenArrival::Kind::kError;
    default:
      return TokenArrival::Kind::kToken;
  }
}

TokenArrival arrival_of(const pb::TokenEvent& event) {
  TokenArrival arrival{.kind = kind_of(event.finish()),
                       .index = event.index(),
                       .token = static_cast<engine::Token>(event.token()),
                       .error = {}};
  if (arrival.kind == TokenArrival::Kind::kError) {
    const Code code = code_from_wire(event.code());
    arrival.error = Status(code == Code::kOk ? Code::kInternal : code, event.message());
  }
  return arrival;
}

}  // namespace

std::string encode_prefill(const PrefillOrder& order) {
  pb::PrefillRequest request;
  request.set_request_id(std::string(order.id));
  request.set_attempt(order.attempt);
  request.mutable_tokens()->Assign(order.prompt.begin(), order.prompt.end());
  request.mutable_emitted()->Assign(order.emitted.begin(), order.emitted.end());
  pb::Sampling& sampling = *request.mutable_sampling();
  sampling.set_temperature(order.request->temperature);
  sampling.set_top_p(order.request->top_p);
  sampling.set_seed(order.seed);
  sampling.set_choice(order.choice);
  sampling.set_tokens_max(order.tokens_max);
  sampling.set_ignore_end(order.request->ignore_end);
  request.set_gateway(std::string(order.gateway));
  request.set_decode(std::string(order.decode));
  request.set_model(std::string(order.model));
  request.set_recompute(order.recompute);
  request.set_deadline_ms(order.deadline_ms);
  request.set_expected_ms(order.expected_ms);
  request.set_predicted_ms(order.predicted_ms);
  return request.SerializeAsString();
}

Result<PrefillReport> decode_prefill_reply(std::string_view payload) {
  pb::PrefillReply reply;
  if (!reply.ParseFromArray(payload.data(), static_cast<int>(payload.size()))) {
    return Status(Code::kCorrupt, "the prefill worker's reply is unreadable");
  }
  return PrefillReport{.cached_tokens = reply.cached_tokens(),
                       .published_blocks = reply.published_blocks(),
                       .node = reply.node(),
                       .queue_ms = sane_ms(reply.queue_ms()),
                       .fetch_ms = sane_ms(reply.fetch_ms()),
                       .prefill_ms = sane_ms(reply.prefill_ms()),
                       .transfer_ms = sane_ms(reply.transfer_ms()),
                       .kv_checksum = reply.kv_checksum()};
}

std::string encode_cancel(std::string_view id) {
  pb::CancelRequest request;
  request.set_request_id(std::string(id));
  return request.SerializeAsString();
}

Result<std::string> receive_tokens(std::string_view payload, const TokenSink& sink) {
  pb::TokenBatch batch;
  if (!batch.ParseFromArray(payload.data(), static_cast<int>(payload.size()))) {
    return Status(Code::kInvalidArgument, "these bytes are no token batch");
  }
  std::set<std::string> unknown;
  for (const pb::TokenEvent& event : batch.events()) {
    if (!sink(event.request_id(), arrival_of(event), event.cached_tokens())) unknown.insert(event.request_id());
  }
  pb::TokenBatchReply reply;
  for (const std::string& id : unknown) reply.add_unknown(id);
  return reply.SerializeAsString();
}

}  // namespace mooncake::serve
