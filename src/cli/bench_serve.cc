#include "cli/bench_serve.h"

#include <fmt/core.h>

#include "base/rng.h"
#include "cli/bench_client.h"
#include "cli/command.h"
#include "cli/version.h"

namespace mooncake::cli {
namespace {

Status check(const BenchServeOptions& options) {
  if (options.scenario != "shared-prefix" && options.scenario != "poisson") {
    return {Code::kInvalidArgument,
            fmt::format("no scenario \"{}\"; there are shared-prefix and poisson", options.scenario)};
  }
  if (options.requests == 0 || options.prefix_tokens == 0 || options.question_tokens == 0 ||
      options.answer_tokens == 0 || options.prompt_tokens == 0 || !(options.rate > 0) || !(options.duration_s > 0)) {
    return {Code::kInvalidArgument, "counts, rate and duration must be above 0"};
  }
  return {};
}

std::map<std::string, std::string> settings(const BenchServeOptions& options, const std::string& model) {
  std::map<std::string, std::string> all = {{"model", model},
                                            {"seed", std::to_string(options.seed)},
                                            {"answer_tokens", std::to_string(options.answer_tokens)}};
  if (options.scenario == "poisson") {
    all["rate"] = fmt::format("{}", options.rate);
    all["duration_s"] = fmt::format("{}", options.duration_s);
    all["prompt_tokens"] = std::to_string(options.prompt_tokens);
    all["ttft_slo_s"] = fmt::format("{}", options.ttft_slo_s);
    all["tbt_slo_ms"] = fmt::format("{}", options.tbt_slo_ms);
  } else {
    all["requests"] = std::to_string(options.requests);
    all["prefix_tokens"] = std::to_string(options.prefix_tokens);
    all["question_tokens"] = std::to_string(options.question_tokens);
  }
  return all;
}

}  // namespace

int run_bench_serve(const BenchServeOptions& given) {
  BenchServeOptions options = given;
  while (options.url.ends_with('/')) options.url.pop_back();
  if (options.seed == 0) options.seed = random_seed();
  if (const Status status = check(options); !status.ok()) {
    (void)fail(status);
    return kExitUsage;
  }
  const auto model = first_model(options.url);
  if (!model.ok()) return fail(model.status());
  auto rows = options.scenario == "poisson" ? bench_poisson(options, *model) : bench_shared_prefix(options, *model);
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
