// What workers are asked, by the gateway and by each other, as plain structs, and its translation to and from the wire
// (proto/serve.proto). What they answer the gateway is in serve/messages.h.
//
// Everything a peer sends is checked here, once, against named limits and the model; what passes can be trusted by the
// workers. Durations on the wire are milliseconds from the moment of receipt.
//
// Pure functions. Source: proto/serve.proto.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "conductor/tenant.h"
#include "engine/tokenizer.h"
#include "serve/messages.h"
#include "serve/worker/worker_service.h"
#include "transfer/transfer_engine.h"

namespace mooncake::serve {

/// Of one attempt at a request; a gateway uses none twice.
using RequestId = std::string;

/// A UUID has 36 characters; ids go into every token event, so they stay short.
inline constexpr std::size_t kRequestIdBytesMax = 128;
/// "host:port" of a transfer endpoint.
inline constexpr std::size_t kEndpointBytesMax = 256;
/// Error texts inside token events; longer ones are cut.
inline constexpr std::size_t kEventMessageBytesMax = 512;

struct PrefillCall {
  RequestId id;
  std::vector<engine::Token> tokens;
  AnswerParams answer;
  transfer::PeerName gateway;
  transfer::PeerName decode;
  std::vector<engine::Token> emitted;
  std::optional<std::uint32_t> reuse_blocks_max{};  ///< leading blocks to fetch at most; none: all that are cached
  std::int64_t deadline_ms = 0;
  double expected_ms = 0;
  double predicted_ms = 0;
  conductor::Tenant tenant{};
  std::string cache_salt{};  ///< part of the block keys
};

struct ReserveCall {
  RequestId id;
  std::uint32_t prompt_tokens = 0;
  std::uint32_t tokens_max = 0;
  std::int64_t deadline_ms = 0;
  std::uint32_t emitted_tokens = 0;
  std::string model;
};

struct ReserveAnswer {
  transfer::SegmentHandle segment;
  std::uint64_t bytes = 0;
};

struct JoinCall {
  RequestId id;
  std::vector<engine::Token> tokens;
  AnswerParams answer;
  transfer::PeerName gateway;
  engine::Token first_token = 0;
  std::vector<engine::Token> emitted;
  std::vector<std::uint32_t> block_crc32c;
  std::int64_t deadline_ms = 0;
  std::string cache_salt{};
};

/// As in the wire's enum.
enum class FinishReason : std::uint8_t { kNone = 0, kStop = 1, kLength = 2, kError = 3 };

struct TokenEvent {
  RequestId id;
  std::uint32_t index = 0;
  engine::Token token = 0;
  FinishReason finish = FinishReason::kNone;
  Status error;  ///< with kError
  std::uint32_t cached_tokens = 0;
};

/// What requests are checked against: the model that this worker serves.
struct ProtocolLimits {
  std::string model;  ///< hex fingerprint
  std::uint32_t context_tokens = 0;
  std::uint32_t vocabulary_size = 0;
  std::uint32_t block_tokens = 64;
};

/// Longest answer that still fits the context after `prompt_tokens`: prompt and answer together fill it at most.
std::uint32_t answer_tokens_max(const ProtocolLimits& limits, std::uint32_t prompt_tokens, std::uint32_t asked);

/// What a payload holds. tokens_max comes out clamped to the context. @return kInvalidArgument, saying which field is
/// wrong; kUnsupported for another model; kOutOfRange for a prompt that leaves no room for an answer.
Result<PrefillCall> parse_prefill(std::string_view payload, const ProtocolLimits& limits);
Result<ReserveCall> parse_reserve(std::string_view payload, const ProtocolLimits& limits);
Result<JoinCall> parse_join(std::string_view payload, const ProtocolLimits& limits);
Result<RequestId> parse_cancel(std::string_view payload);
/// The role that the worker shall have.
Result<WorkerRole> parse_change_role(std::string_view payload);
/// Keys of blocks, conductor::kCopyBlocksMax at most.
Result<std::vector<Key128>> parse_replicate(std::string_view payload);
/// Replies: @return kInternal when the peer sent something else.
Result<ReserveAnswer> parse_reserve_reply(std::string_view payload);
/// Ids that the gateway does not know.
Result<std::vector<RequestId>> parse_tokens_reply(std::string_view payload);

std::string encode(const ReserveCall& call);
std::string encode(const ReserveAnswer& answer);
std::string encode(const JoinCall& call);
std::string encode(const std::vector<TokenEvent>& events);

}  // namespace mooncake::serve
