// Scenario shared-prefix of `mooncake bench serve`. Cold and warm are interleaved, one request in flight at a time, and
// every prefix starts at the next worker, so that neither a slow worker nor a slow minute favours one side.
#include <fmt/core.h>

#include "cli/bench_client.h"
#include "cli/bench_progress.h"
#include "cli/bench_prompts.h"
#include "cli/bench_serve.h"
#include "cli/bench_stats.h"

namespace mooncake::cli {
namespace {

// Promised for SmolLM2 on two cores; docs/serving.md.
constexpr double kRatioTarget = 10;
// The simulated engine waits 20 us a token instead of computing: the ratio is that of the waits, and promises nothing.
constexpr std::string_view kSimulatedModel = "simulated";

struct Samples {
  std::vector<double> cold_ms;
  std::vector<double> warm_ms;
  std::vector<double> cached_cold;
  std::vector<double> cached_warm;
  std::vector<double> prompt_tokens;
};

class SharedPrefixBench {
 public:
  SharedPrefixBench(const BenchServeOptions& options, const std::string& model, std::vector<std::string> workers)
      : options_(options), model_(model), workers_(std::move(workers)), rng_(options.seed) {}

  Status run(BenchProgress& progress) {
    for (std::uint32_t i = 0; i < options_.requests; ++i) {
      MC_ASSIGN_OR_RETURN(const std::string prefix, text_of(options_.prefix_tokens));
      const std::string& first = workers_[i % workers_.size()];
      const std::string& second = workers_[(i + 1) % workers_.size()];
      progress.show((2.0 * i) / (2.0 * options_.requests), fmt::format("prefix {}, cold on {}", i + 1, first));
      MC_ASSIGN_OR_RETURN(const CompletionFacts cold, ask(prefix, first));
      progress.show((2.0 * i + 1) / (2.0 * options_.requests), fmt::format("prefix {}, warm on {}", i + 1, second));
      MC_ASSIGN_OR_RETURN(const CompletionFacts warm, ask(prefix, second));
      samples_.cold_ms.push_back(to_ms(cold.ttft));
      samples_.warm_ms.push_back(to_ms(warm.ttft));
      samples_.cached_cold.push_back(cold.cached_tokens);
      samples_.cached_warm.push_back(warm.cached_tokens);
      samples_.prompt_tokens.push_back(warm.prompt_tokens);
    }
    return {};
  }

  [[nodiscard]] const Samples& samples() const { return samples_; }

 private:
  Result<std::string> text_of(std::uint32_t tokens) {
    return sized_text(
        tokens, [this](std::string_view text) { return count_tokens(options_.gateway, text); }, rng_);
  }

  Result<CompletionFacts> ask(const std::string& prefix, const std::string& worker) {
    MC_ASSIGN_OR_RETURN(const std::string question, text_of(options_.question_tokens));
    auto facts = measure_completion(options_.gateway, {.model = model_,
                                                       .prompt = prefix + "\n" + question,
                                                       .answer_tokens = options_.answer_tokens,
                                                       .place_prefill = worker});
    if (facts.ok() && facts->prefill != worker) {
      return Status(Code::kUnsupported,
                    fmt::format("asked for prefill worker {} and got \"{}\": the gateway steers for clients on its own "
                                "machine only",
                                worker, facts->prefill));
    }
    return facts;
  }

  const BenchServeOptions& options_;
  const std::string& model_;
  std::vector<std::string> workers_;
  Rng rng_;
  Samples samples_;
};

std::vector<BenchRow> rows_of(const Samples& samples, bool has_target) {
  const double cold = percentile(samples.cold_ms, 50);
  const double warm = percentile(samples.warm_ms, 50);
  BenchRow ratio{.name = "ratio", .value = cold / warm, .unit = "x", .better = Better::kHigher};
  if (has_target) ratio.target = kRatioTarget;
  return {
      {.name = "ttft_ms_cold_p50", .value = cold, .unit = "ms"},
      {.name = "ttft_ms_warm_p50", .value = warm, .unit = "ms", .baseline = "cold", .baseline_value = cold},
      ratio,
      {.name = "ttft_ms_cold_max", .value = percentile(samples.cold_ms, 100), .unit = "ms"},
      {.name = "ttft_ms_warm_max", .value = percentile(samples.warm_ms, 100), .unit = "ms"},
      {.name = "cached_tokens_warm",
       .value = percentile(samples.cached_warm, 50),
       .unit = "tokens",
       .better = Better::kHigher},
      {.name = "cached_tokens_cold", .value = percentile(samples.cached_cold, 50), .unit = "tokens"},
      {.name = "prompt_tokens", .value = percentile(samples.prompt_tokens, 50), .unit = "tokens"},
  };
}

}  // namespace

Result<std::vector<BenchRow>> bench_shared_prefix(const BenchServeOptions& options, const std::string& model) {
  MC_ASSIGN_OR_RETURN(std::vector<std::string> workers, prefill_instances(options.gateway));
  if (workers.size() < 2) {
    return Status(Code::kUnsupported, fmt::format("{} prefill worker(s) are up; this scenario needs two, as in "
                                                  "`mooncake up --prefill 2`",
                                                  workers.size()));
  }
  BenchProgress progress;
  SharedPrefixBench bench(options, model, std::move(workers));
  MC_RETURN_IF_ERROR(bench.run(progress));
  return rows_of(bench.samples(), model != kSimulatedModel);
}

}  // namespace mooncake::cli
