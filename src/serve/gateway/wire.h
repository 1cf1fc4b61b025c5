// What the gateway asks of prefill workers, and the tokens that workers send it, as on the wire (proto/serve.proto).
// Pure, thread-safe.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/status.h"
#include "base/time.h"
#include "conductor/tenant.h"
#include "engine/tokenizer.h"
#include "serve/gateway/generation.h"
#include "serve/messages.h"

namespace mooncake::serve {

/// One attempt at one choice, as the prefill worker gets it. Spans are borrowed for the call.
struct PrefillOrder {
  std::string_view id{};  ///< of the attempt: no two attempts share one, so late messages cannot be mistaken
  std::span<const engine::Token> prompt{};
  std::span<const engine::Token> emitted{};
  AnswerParams answer{};
  std::string_view gateway{};  ///< endpoints
  std::string_view decode{};
  std::string_view model{};
  std::optional<std::uint32_t> reuse_blocks_max{};  ///< none: all that are cached
  std::int64_t deadline_ms = 0;
  double expected_ms = 0;  ///< 0: the worker does not check
  double predicted_ms = 0;
  conductor::Tenant tenant{};
  std::string_view cache_salt{};
};
std::string encode_prefill(const PrefillOrder& order);

/// Takes one token of one attempt. @return false if the attempt is not known (any more).
using TokenSink = std::function<bool(const std::string& id, const TokenArrival& arrival, std::uint32_t cached_tokens)>;
/// Reads a batch of tokens, passes each on, in order, and @return the reply, which names the unknown attempts once
/// each. kInvalidArgument for bytes that are no batch.
Result<std::string> receive_tokens(std::string_view payload, const TokenSink& sink);

}  // namespace mooncake::serve
