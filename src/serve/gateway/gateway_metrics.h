// GatewayMetrics: what a gateway counts. All members may be called from any thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>

#include "base/time.h"

namespace mooncake {
class Metrics;
}

namespace mooncake::serve {

class GatewayMetrics {
 public:
  /// `metrics` must outlive it.
  explicit GatewayMetrics(Metrics& metrics);
  ~GatewayMetrics();

  /// An answer with this status is complete; 499: the client went away.
  void on_answer(std::uint32_t http_status);
  /// A 503 was answered `after` its arrival. `reason` is the error's code.
  void on_rejection(std::string_view reason, Nanos after);
  void on_first_token(Nanos ttft, std::uint64_t prompt_tokens, std::uint64_t cached_tokens);
  void on_token_gap(Nanos gap);
  void on_answer_tokens(std::uint64_t tokens);
  /// What the gateway itself added before the prefill worker got the request, preparing not included.
  void on_submitted(Nanos added);
  /// Parsing, tokenizing and hashing one request.
  void on_prepared(Nanos took);
  /// An attempt failed and the request goes on elsewhere. `code`: name of the status code.
  void on_retry(std::string_view code);
  void on_divergence();
  void set_in_flight(std::uint32_t requests);
  void set_instances(std::uint32_t prefill_up, std::uint32_t decode_up);

 private:
  struct Series;
  const std::unique_ptr<Series> series_;
};

}  // namespace mooncake::serve
