// The gateway's side of proto/serve.proto: what it sends to prefill workers and reads from workers. Pure, thread-safe.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "base/status.h"
#include "base/time.h"
#include "engine/tokenizer.h"
#include "serve/gateway/generation.h"
#include "serve/gateway/prepare.h"

namespace mooncake::serve {

/// One attempt at one choice, as the prefill worker gets it. Spans are borrowed for the call.
struct PrefillOrder {
  std::string_view id{};  ///< of the attempt: no two attempts share one, so late messages cannot be mistaken
  std::uint32_t attempt = 1;
  std::span<const engine::Token> prompt{};
  std::span<const engine::Token> emitted{};
  const openai::GenerateRequest* request = nullptr;  ///< temperature, top_p, ignore_end
  std::uint64_t seed = 0;
  std::uint32_t choice = 0;
  std::uint32_t tokens_max = 1;
  std::string_view gateway{};  ///< endpoints
  std::string_view decode{};
  std::string_view model{};
  bool recompute = false;
  std::int64_t deadline_ms = 0;
  double expected_ms = 0;  ///< 0: the worker does not check
  double predicted_ms = 0;
};
std::string encode_prefill(const PrefillOrder& order);

/// What a prefill worker reports when a prompt is published and handed over. Negative and absurd numbers are cut to 0.
struct PrefillReport {
  std::uint32_t cached_tokens = 0;
  std::uint32_t published_blocks = 0;
  std::string node;
  double queue_ms = 0;
  double fetch_ms = 0;
  double prefill_ms = 0;
  double transfer_ms = 0;
  std::uint32_t kv_checksum = 0;
};
/// @return kCorrupt for bytes that are no reply.
Result<PrefillReport> decode_prefill_reply(std::string_view payload);

std::string encode_cancel(std::string_view id);

/// Takes one token of one attempt. @return false if the attempt is not known (any more).
using TokenSink = std::function<bool(const std::string& id, const TokenArrival& arrival, std::uint32_t cached_tokens)>;
/// Reads a batch of tokens, passes each on, in order, and @return the reply, which names the unknown attempts once
/// each. kInvalidArgument for bytes that are no batch.
Result<std::string> receive_tokens(std::string_view payload, const TokenSink& sink);

}  // namespace mooncake::serve
