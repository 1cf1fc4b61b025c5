// What a benchmark asks a gateway, and what it measures of one streamed answer, at the client.
//
// Threads: the functions block and may be called from any thread; a CompletionMeter belongs to one.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "base/time.h"
#include "cli/gateway_access.h"
#include "cli/sse_reader.h"

namespace mooncake::cli {

/// Longer than any answer; a gateway's own deadline comes first.
inline constexpr Seconds kBenchAnswerWait{900};

/// One answer, as its client saw it.
struct CompletionFacts {
  Nanos ttft{};             ///< sent to first token
  std::vector<Nanos> gaps;  ///< between tokens
  Nanos total{};            ///< sent to the end
  std::uint32_t prompt_tokens = 0;
  std::uint32_t cached_tokens = 0;
  std::uint32_t answer_tokens = 0;
  std::string prefill;  ///< name of the worker that the gateway says it was
};

/// Takes the stream of POST /v1/completions apart and notes when each token came. Pure: time is passed in.
class CompletionMeter {
 public:
  explicit CompletionMeter(Instant sent) : sent_(sent) {}

  void add(std::string_view piece, Instant now);
  /// What was measured. @return kUnavailable with the server's words if it sent an error, kPeerLost if the stream ended
  /// before [DONE] or without a token.
  Result<CompletionFacts> finish(Instant now) const;

 private:
  void take(const std::string& event, Instant now);

  Instant sent_;
  SseReader reader_;
  CompletionFacts facts_;
  std::optional<Instant> last_token_;
  std::string error_;
  bool done_ = false;
};

struct CompletionRequest {
  std::string model;
  std::string prompt;
  std::uint32_t answer_tokens = 1;
  std::string place_prefill{};  ///< empty: the Conductor's choice
};

/// A gateway that said no: too much load (429, 503). Counted, not an error of the benchmark.
inline bool is_refusal(const Status& status) { return status.code() == Code::kExhausted; }

/// Sends one greedy, streamed completion of exactly answer_tokens tokens and measures it.
/// @return kExhausted for HTTP 429 and 503, kUnavailable for other errors and for a gateway that does not answer, each
/// with the server's words.
Result<CompletionFacts> measure_completion(const GatewayAccess& gateway, const CompletionRequest& request);

/// Names of the prefill instances that are up, by GET /mooncake/cluster, in its order.
Result<std::vector<std::string>> prefill_instances(const GatewayAccess& gateway);
/// Tokens of the model's context, prompt and answer together, by POST /tokenize.
Result<std::uint32_t> context_tokens(const GatewayAccess& gateway);
/// Tokens of `text`, by POST /tokenize.
Result<std::uint32_t> count_tokens(const GatewayAccess& gateway, std::string_view text);

}  // namespace mooncake::cli
