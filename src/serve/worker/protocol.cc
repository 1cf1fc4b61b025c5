#include "serve/worker/protocol.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>

#include "conductor/conductor.h"
#include "proto/serve.pb.h"

namespace mooncake::serve {
namespace {

Status bad(std::string message) { return {Code::kInvalidArgument, std::move(message)}; }

template <typename Message>
Result<Message> parse(std::string_view payload) {
  Message message;
  if (!message.ParseFromArray(payload.data(), static_cast<int>(payload.size()))) {
    return bad(fmt::format("{} bytes are no {}", payload.size(), message.GetTypeName()));
  }
  return message;
}

Status check_id(const std::string& id) {
  if (id.empty() || id.size() > kRequestIdBytesMax) {
    return bad(fmt::format("request_id has {} bytes, not 1 to {}", id.size(), kRequestIdBytesMax));
  }
  return {};
}

Status check_endpoint(const char* field, const std::string& endpoint) {
  if (endpoint.empty() || endpoint.size() > kEndpointBytesMax) {
    return bad(fmt::format("{} has {} bytes, not 1 to {}", field, endpoint.size(), kEndpointBytesMax));
  }
  return {};
}

Status check_deadline(std::int64_t deadline_ms) {
  if (deadline_ms <= 0) return {Code::kDeadlineExceeded, fmt::format("the request has {} ms left", deadline_ms)};
  return {};
}

Status check_model(const std::string& model, const ProtocolLimits& limits) {
  if (model == limits.model) return {};
  return {Code::kUnsupported, fmt::format("model {} is not served here; {} is", model.substr(0, 64), limits.model)};
}

Status check_prompt_size(std::uint64_t tokens, const ProtocolLimits& limits) {
  if (tokens == 0) return bad("the prompt is empty");
  if (tokens >= limits.context_tokens) {
    return {Code::kOutOfRange, fmt::format("a prompt of {} tokens leaves no room for an answer in a context of {}",
                                           tokens, limits.context_tokens)};
  }
  return {};
}

Status check_salt(const std::string& salt) {
  if (salt.size() <= kTenantNameBytesMax) return {};
  return bad(fmt::format("cache_salt has {} bytes, not up to {}", salt.size(), kTenantNameBytesMax));
}

Result<conductor::Tenant> tenant_of(const pb::PrefillRequest& wire) {
  if (wire.tenant_weight() > conductor::kTenantWeightMax) {
    return bad(fmt::format("tenant_weight is {}, not up to {}", wire.tenant_weight(), conductor::kTenantWeightMax));
  }
  return conductor::Tenant{.id = conductor::TenantId{wire.tenant()}, .weight = std::max(wire.tenant_weight(), 1u)};
}

template <typename Repeated>
Result<std::vector<engine::Token>> tokens_of(const char* field, const Repeated& wire, const ProtocolLimits& limits) {
  std::vector<engine::Token> tokens;
  tokens.reserve(static_cast<std::size_t>(wire.size()));
  for (const std::uint32_t token : wire) {
    if (token >= limits.vocabulary_size) {
      return bad(fmt::format("{} holds token {}, beyond a vocabulary of {}", field, token, limits.vocabulary_size));
    }
    tokens.push_back(static_cast<engine::Token>(token));
  }
  return tokens;
}

Result<AnswerParams> answer_of(const pb::Sampling& wire, std::uint32_t prompt_tokens, const ProtocolLimits& limits) {
  if (!std::isfinite(wire.temperature()) || wire.temperature() < 0) {
    return bad(fmt::format("temperature {} is not a number from 0 up", wire.temperature()));
  }
  if (!(wire.top_p() >= 0 && wire.top_p() <= 1)) return bad(fmt::format("top_p {} is not in [0, 1]", wire.top_p()));
  if (wire.tokens_max() == 0) return bad("tokens_max is 0; an answer has at least one token");
  return AnswerParams{wire.temperature(),
                      wire.top_p(),
                      wire.seed(),
                      wire.choice(),
                      answer_tokens_max(limits, prompt_tokens, wire.tokens_max()),
                      wire.ignore_end()};
}

/// Answer tokens that the client already has leave at least one to make.
Status check_emitted(std::size_t emitted, std::uint32_t tokens_max) {
  if (emitted < tokens_max || emitted == 0) return {};
  return bad(fmt::format("{} answer tokens are out already, of at most {}", emitted, tokens_max));
}

template <typename Repeated>
void append_tokens(const std::vector<engine::Token>& tokens, Repeated* wire) {
  wire->Reserve(static_cast<int>(tokens.size()));
  for (const engine::Token token : tokens) wire->Add(static_cast<std::uint32_t>(token));
}

}  // namespace

std::uint32_t answer_tokens_max(const ProtocolLimits& limits, std::uint32_t prompt_tokens, std::uint32_t asked) {
  if (prompt_tokens >= limits.context_tokens) return 0;
  return std::min(asked, limits.context_tokens - prompt_tokens);
}

Result<PrefillCall> parse_prefill(std::string_view payload, const ProtocolLimits& limits) {
  MC_ASSIGN_OR_RETURN(const auto wire, parse<pb::PrefillRequest>(payload));
  MC_RETURN_IF_ERROR(check_id(wire.request_id()));
  MC_RETURN_IF_ERROR(check_model(wire.model(), limits));
  MC_RETURN_IF_ERROR(check_prompt_size(static_cast<std::uint64_t>(wire.tokens_size()), limits));
  MC_RETURN_IF_ERROR(check_endpoint("gateway", wire.gateway()));
  MC_RETURN_IF_ERROR(check_deadline(wire.deadline_ms()));
  PrefillCall call;
  MC_ASSIGN_OR_RETURN(call.tokens, tokens_of("tokens", wire.tokens(), limits));
  MC_ASSIGN_OR_RETURN(call.emitted, tokens_of("emitted", wire.emitted(), limits));
  MC_ASSIGN_OR_RETURN(call.answer, answer_of(wire.sampling(), static_cast<std::uint32_t>(call.tokens.size()), limits));
  MC_RETURN_IF_ERROR(check_emitted(call.emitted.size(), call.answer.tokens_max));
  if (call.answer.tokens_max > 1) MC_RETURN_IF_ERROR(check_endpoint("decode", wire.decode()));
  if (!std::isfinite(wire.expected_ms()) || !std::isfinite(wire.predicted_ms()) || wire.expected_ms() < 0 ||
      wire.predicted_ms() < 0) {
    return bad("expected_ms and predicted_ms are finite and not negative");
  }
  MC_ASSIGN_OR_RETURN(call.tenant, tenant_of(wire));
  MC_RETURN_IF_ERROR(check_salt(wire.cache_salt()));
  call.cache_salt = wire.cache_salt();
  call.id = wire.request_id();
  call.gateway = wire.gateway();
  call.decode = wire.decode();
  if (wire.has_reuse_blocks_max()) call.reuse_blocks_max = wire.reuse_blocks_max();
  call.deadline_ms = std::min(wire.deadline_ms(), kWireTimeMsMax);
  call.expected_ms = std::min(wire.expected_ms(), double{kWireTimeMsMax});
  call.predicted_ms = std::min(wire.predicted_ms(), double{kWireTimeMsMax});
  return call;
}

Result<ReserveCall> parse_reserve(std::string_view payload, const ProtocolLimits& limits) {
  MC_ASSIGN_OR_RETURN(const auto wire, parse<pb::ReserveRequest>(payload));
  MC_RETURN_IF_ERROR(check_id(wire.request_id()));
  MC_RETURN_IF_ERROR(check_model(wire.model(), limits));
  MC_RETURN_IF_ERROR(check_prompt_size(wire.prompt_tokens(), limits));
  MC_RETURN_IF_ERROR(check_deadline(wire.deadline_ms()));
  if (wire.tokens_max() == 0) return bad("tokens_max is 0; an answer has at least one token");
  const std::uint32_t tokens_max = answer_tokens_max(limits, wire.prompt_tokens(), wire.tokens_max());
  MC_RETURN_IF_ERROR(check_emitted(wire.emitted_tokens(), tokens_max));
  return ReserveCall{.id = wire.request_id(),
                     .prompt_tokens = wire.prompt_tokens(),
                     .tokens_max = tokens_max,
                     .deadline_ms = std::min(wire.deadline_ms(), kWireTimeMsMax),
                     .emitted_tokens = wire.emitted_tokens(),
                     .model = wire.model()};
}

Result<JoinCall> parse_join(std::string_view payload, const ProtocolLimits& limits) {
  MC_ASSIGN_OR_RETURN(const auto wire, parse<pb::JoinRequest>(payload));
  MC_RETURN_IF_ERROR(check_id(wire.request_id()));
  MC_RETURN_IF_ERROR(check_prompt_size(static_cast<std::uint64_t>(wire.tokens_size()), limits));
  MC_RETURN_IF_ERROR(check_endpoint("gateway", wire.gateway()));
  MC_RETURN_IF_ERROR(check_deadline(wire.deadline_ms()));
  JoinCall call;
  MC_ASSIGN_OR_RETURN(call.tokens, tokens_of("tokens", wire.tokens(), limits));
  MC_ASSIGN_OR_RETURN(call.emitted, tokens_of("emitted", wire.emitted(), limits));
  MC_ASSIGN_OR_RETURN(call.answer, answer_of(wire.sampling(), static_cast<std::uint32_t>(call.tokens.size()), limits));
  MC_RETURN_IF_ERROR(check_emitted(std::max<std::size_t>(1, call.emitted.size()), call.answer.tokens_max));
  if (wire.first_token() >= limits.vocabulary_size) return bad("first_token is beyond the vocabulary");
  const std::size_t blocks = (call.tokens.size() + limits.block_tokens - 1) / limits.block_tokens;
  if (static_cast<std::size_t>(wire.block_crc32c_size()) != blocks) {
    return bad(fmt::format("{} block checksums for {} blocks", wire.block_crc32c_size(), blocks));
  }
  MC_RETURN_IF_ERROR(check_salt(wire.cache_salt()));
  call.cache_salt = wire.cache_salt();
  call.id = wire.request_id();
  call.gateway = wire.gateway();
  call.first_token = static_cast<engine::Token>(wire.first_token());
  call.block_crc32c.assign(wire.block_crc32c().begin(), wire.block_crc32c().end());
  call.deadline_ms = std::min(wire.deadline_ms(), kWireTimeMsMax);
  return call;
}

Result<RequestId> parse_cancel(std::string_view payload) {
  MC_ASSIGN_OR_RETURN(const auto wire, parse<pb::CancelRequest>(payload));
  MC_RETURN_IF_ERROR(check_id(wire.request_id()));
  return wire.request_id();
}

Result<WorkerRole> parse_change_role(std::string_view payload) {
  MC_ASSIGN_OR_RETURN(const auto wire, parse<pb::ChangeRoleRequest>(payload));
  return parse_worker_role(wire.role());
}

Result<std::vector<Key128>> parse_replicate(std::string_view payload) {
  MC_ASSIGN_OR_RETURN(const auto wire, parse<pb::ReplicateRequest>(payload));
  const auto halves = static_cast<std::size_t>(wire.keys_size());
  if (halves == 0 || halves % 2 != 0 || halves / 2 > conductor::kCopyBlocksMax) {
    return bad(fmt::format("{} halves of keys, where 1 to {} keys are expected", halves, conductor::kCopyBlocksMax));
  }
  std::vector<Key128> keys;
  for (std::size_t i = 0; i < halves; i += 2) {
    keys.push_back({wire.keys(static_cast<int>(i)), wire.keys(static_cast<int>(i + 1))});
  }
  return keys;
}

Result<ReserveAnswer> parse_reserve_reply(std::string_view payload) {
  auto wire = parse<pb::ReserveReply>(payload);
  if (!wire.ok()) return Status(Code::kInternal, wire.status().message());
  return ReserveAnswer{{wire->segment_index(), wire->segment_generation()}, wire->bytes()};
}

Result<std::vector<RequestId>> parse_tokens_reply(std::string_view payload) {
  auto wire = parse<pb::TokenBatchReply>(payload);
  if (!wire.ok()) return Status(Code::kInternal, wire.status().message());
  return std::vector<RequestId>(wire->unknown().begin(), wire->unknown().end());
}

namespace {

/// Cut to kEventMessageBytesMax, with '?' for all but printable ASCII: a peer refuses a whole batch for one bad string.
std::string printable(std::string_view text) {
  std::string out(text.substr(0, kEventMessageBytesMax));
  for (char& c : out) {
    if (c < ' ' || c > '~') c = '?';
  }
  return out;
}

}  // namespace

std::string encode(const ReserveCall& call) {
  pb::ReserveRequest wire;
  wire.set_request_id(call.id);
  wire.set_prompt_tokens(call.prompt_tokens);
  wire.set_tokens_max(call.tokens_max);
  wire.set_deadline_ms(call.deadline_ms);
  wire.set_emitted_tokens(call.emitted_tokens);
  wire.set_model(call.model);
  return wire.SerializeAsString();
}

std::string encode(const ReserveAnswer& answer) {
  pb::ReserveReply wire;
  wire.set_segment_index(answer.segment.index);
  wire.set_segment_generation(answer.segment.generation);
  wire.set_bytes(answer.bytes);
  return wire.SerializeAsString();
}

std::string encode(const JoinCall& call) {
  pb::JoinRequest wire;
  wire.set_request_id(call.id);
  append_tokens(call.tokens, wire.mutable_tokens());
  fill(call.answer, *wire.mutable_sampling());
  wire.set_gateway(call.gateway);
  wire.set_first_token(static_cast<std::uint32_t>(call.first_token));
  append_tokens(call.emitted, wire.mutable_emitted());
  for (const std::uint32_t crc : call.block_crc32c) wire.add_block_crc32c(crc);
  wire.set_deadline_ms(call.deadline_ms);
  wire.set_cache_salt(call.cache_salt);
  return wire.SerializeAsString();
}

std::string encode(const std::vector<TokenEvent>& events) {
  pb::TokenBatch wire;
  wire.mutable_events()->Reserve(static_cast<int>(events.size()));
  for (const TokenEvent& event : events) {
    pb::TokenEvent* one = wire.add_events();
    one->set_request_id(event.id);
    one->set_index(event.index);
    one->set_token(static_cast<std::uint32_t>(event.token));
    one->set_finish(static_cast<pb::Finish>(event.finish));
    if (!event.error.ok()) {
      one->set_code(static_cast<std::uint32_t>(event.error.code()));
      one->set_message(printable(event.error.message()));
    }
    one->set_cached_tokens(event.cached_tokens);
  }
  return wire.SerializeAsString();
}

}  // namespace mooncake::serve
