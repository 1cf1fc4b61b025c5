#include "serve/gateway/gateway_metrics.h"

#include <string>

#include "base/metrics.h"

namespace mooncake::serve {

struct GatewayMetrics::Series {
  explicit Series(Metrics& all)
      : metrics(all),
        ttft(all.histogram("mooncake_gateway_ttft_ms", "Arrival of a request to its first token, at the gateway",
                           Metrics::latency_bounds_ms())),
        tbt(all.histogram("mooncake_gateway_tbt_ms", "Gap between two tokens of a choice, at the gateway",
                          Metrics::latency_bounds_ms())),
        added(all.histogram("mooncake_gateway_added_ms",
                            "Arrival to submission to the prefill worker, without parsing and tokenizing",
                            Metrics::latency_bounds_ms())),
        prepare(all.histogram("mooncake_gateway_prepare_ms", "Parsing, tokenizing and hashing a request",
                              Metrics::latency_bounds_ms())),
        rejection(all.histogram("mooncake_gateway_rejection_ms", "Arrival of a request to its refusal with 503",
                                Metrics::latency_bounds_ms())),
        prompt_tokens(all.counter("mooncake_gateway_prompt_tokens_total", "Tokens of prompts that got a first token")),
        cached_tokens(all.counter("mooncake_gateway_cached_tokens_total", "Prompt tokens reused from the store")),
        answer_tokens(all.counter("mooncake_gateway_answer_tokens_total", "Tokens of answers")),
        divergences(
            all.counter("mooncake_gateway_divergences_total",
                        "Repeated tokens that differed from the ones shown; always 0 with deterministic engines")),
        in_flight(all.gauge("mooncake_gateway_requests_in_flight", "Requests not answered completely")),
        prefill_up(all.gauge("mooncake_gateway_instances_up", "Workers that can be used", {{"role", "prefill"}})),
        decode_up(all.gauge("mooncake_gateway_instances_up", "Workers that can be used", {{"role", "decode"}})) {}

  Metrics& metrics;
  prometheus::Histogram& ttft;
  prometheus::Histogram& tbt;
  prometheus::Histogram& added;
  prometheus::Histogram& prepare;
  prometheus::Histogram& rejection;
  prometheus::Counter& prompt_tokens;
  prometheus::Counter& cached_tokens;
  prometheus::Counter& answer_tokens;
  prometheus::Counter& divergences;
  prometheus::Gauge& in_flight;
  prometheus::Gauge& prefill_up;
  prometheus::Gauge& decode_up;
};

GatewayMetrics::GatewayMetrics(Metrics& metrics) : series_(std::make_unique<Series>(metrics)) {}
GatewayMetrics::~GatewayMetrics() = default;

void GatewayMetrics::on_answer(std::uint32_t http_status) {
  series_->metrics
      .counter("mooncake_gateway_requests_total", "Completion requests by HTTP status; 499: the client went away",
               {{"code", std::to_string(http_status)}})
      .Increment();
}

void GatewayMetrics::on_rejection(std::string_view reason, Nanos after) {
  series_->metrics
      .counter("mooncake_gateway_rejections_total", "Completion requests refused with 503, by reason",
               {{"reason", std::string(reason)}})
      .Increment();
  series_->rejection.Observe(to_ms(after));
}

void GatewayMetrics::on_first_token(Nanos ttft, std::uint64_t prompt_tokens, std::uint64_t cached_tokens) {
  series_->ttft.Observe(to_ms(ttft));
  series_->prompt_tokens.Increment(static_cast<double>(prompt_tokens));
  series_->cached_tokens.Increment(static_cast<double>(cached_tokens));
}

void GatewayMetrics::on_token_gap(Nanos gap) { series_->tbt.Observe(to_ms(gap)); }
void GatewayMetrics::on_answer_tokens(std::uint64_t tokens) {
  series_->answer_tokens.Increment(static_cast<double>(tokens));
}
void GatewayMetrics::on_submitted(Nanos added) { series_->added.Observe(to_ms(added)); }
void GatewayMetrics::on_prepared(Nanos took) { series_->prepare.Observe(to_ms(took)); }

void GatewayMetrics::on_retry(std::string_view code) {
  series_->metrics
      .counter("mooncake_gateway_retries_total", "Attempts that failed while the request went on elsewhere, by cause",
               {{"cause", std::string(code)}})
      .Increment();
}

void GatewayMetrics::on_divergence() { series_->divergences.Increment(); }
void GatewayMetrics::set_in_flight(std::uint32_t requests) { series_->in_flight.Set(requests); }
void GatewayMetrics::set_instances(std::uint32_t prefill_up, std::uint32_t decode_up) {
  series_->prefill_up.Set(prefill_up);
  series_->decode_up.Set(decode_up);
}

}  // namespace mooncake::serve
