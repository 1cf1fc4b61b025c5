#include "cli/bench_serve.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>

#include "base/rng.h"
#include "cli/bench_client.h"
#include "cli/command.h"
#include "cli/version.h"

namespace mooncake::cli {
namespace {

// How long poisson sends requests if nothing is said.
constexpr double kPoissonDuration = 30;

struct Scenario {
  std::string_view name;
  Result<std::vector<BenchRow>> (*run)(const BenchServeOptions& options, const std::string& model);
};
constexpr std::array<Scenario, 3> kScenarios = {
    {{"shared-prefix", bench_shared_prefix}, {"poisson", bench_poisson}, {"trace", bench_trace}}};

Result<Scenario> scenario_of(const BenchServeOptions& options) {
  const auto wrong = [](std::string what) { return Status(Code::kInvalidArgument, std::move(what)); };
  const auto* const scenario = std::ranges::find(kScenarios, options.scenario, &Scenario::name);
  if (scenario == kScenarios.end()) {
    return wrong(fmt::format("no scenario \"{}\"; there are shared-prefix, poisson and trace", options.scenario));
  }
  if (options.requests == 0 || options.prefix_tokens == 0 || options.question_tokens == 0 ||
      options.answer_tokens == 0 || options.prompt_tokens == 0 || !(options.rate > 0) || !(options.duration_s >= 0) ||
      !(options.speed > 0) || !(options.tokens_scale > 0)) {
    return wrong("counts, rate, speed and scale must be above 0");
  }
  if (options.scenario == "trace" && options.trace.empty()) {
    return wrong("--trace is missing: the file with the requests to send");
  }
  if (options.scenario != "poisson" && !options.save_trace.empty()) {
    return wrong("--save-trace is for the scenario poisson");
  }
  return *scenario;
}

std::map<std::string, std::string> settings(const BenchServeOptions& options, const std::string& model) {
  std::map<std::string, std::string> all = {{"model", model}, {"seed", std::to_string(options.seed)}};
  if (options.scenario == "shared-prefix") {
    all["requests"] = std::to_string(options.requests);
    all["prefix_tokens"] = std::to_string(options.prefix_tokens);
    all["question_tokens"] = std::to_string(options.question_tokens);
    all["answer_tokens"] = std::to_string(options.answer_tokens);
    return all;
  }
  all["duration_s"] = fmt::format("{}", options.duration_s);
  all["ttft_slo_s"] = fmt::format("{}", options.ttft_slo_s);
  all["tbt_slo_ms"] = fmt::format("{}", options.tbt_slo_ms);
  if (options.scenario == "poisson") {
    all["rate"] = fmt::format("{}", options.rate);
    all["prompt_tokens"] = std::to_string(options.prompt_tokens);
    all["answer_tokens"] = std::to_string(options.answer_tokens);
  } else {
    all["trace"] = options.trace;
    all["speed"] = fmt::format("{}", options.speed);
    all["tokens_scale"] = fmt::format("{}", options.tokens_scale);
  }
  return all;
}

}  // namespace

int run_bench_serve(const BenchServeOptions& given) {
  BenchServeOptions options = given;
  if (options.seed == 0) options.seed = random_seed();
  if (options.scenario == "poisson" && options.duration_s == 0) options.duration_s = kPoissonDuration;
  const auto scenario = scenario_of(options);
  if (!scenario.ok()) {
    (void)fail(scenario.status());
    return kExitUsage;
  }
  const auto model = served_model(options.gateway);
  if (!model.ok()) return fail(model.status());
  auto rows = scenario->run(options, *model);
  if (!rows.ok()) return fail(rows.status());
  const Status published = publish({.benchmark = "serve " + options.scenario,
                                    .commit = std::string(commit()),
                                    .machine = this_machine(),
                                    .settings = settings(options, *model),
                                    .rows = std::move(*rows)},
                                   options.json);
  return published.ok() ? kExitOk : fail(published);
}

}  // namespace mooncake::cli
