#include "serve/gateway/wire.h"

#include <set>

#include "proto/serve.pb.h"

namespace mooncake::serve {
namespace {

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
  request.mutable_tokens()->Assign(order.prompt.begin(), order.prompt.end());
  request.mutable_emitted()->Assign(order.emitted.begin(), order.emitted.end());
  fill(order.answer, *request.mutable_sampling());
  request.set_gateway(std::string(order.gateway));
  request.set_decode(std::string(order.decode));
  request.set_model(std::string(order.model));
  if (order.reuse_blocks_max) request.set_reuse_blocks_max(*order.reuse_blocks_max);
  request.set_deadline_ms(order.deadline_ms);
  request.set_expected_ms(order.expected_ms);
  request.set_predicted_ms(order.predicted_ms);
  request.set_tenant(static_cast<std::uint64_t>(order.tenant.id));
  request.set_tenant_weight(order.tenant.weight);
  request.set_cache_salt(std::string(order.cache_salt));
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
