#include "cli/bench_engine.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>

#include "cli/bench_progress.h"
#include "cli/bench_stats.h"
#include "cli/command.h"
#include "cli/json_output.h"
#include "cli/profile_option.h"
#include "cli/version.h"
#include "engine/engine_probe.h"
#include "kvcache/cost_profile_json.h"

namespace mooncake::cli {
namespace {

// Longest prompt measured. Seven seconds for the default model on one core; every other point costs less.
constexpr std::uint32_t kTokensMax = 2048;
// Every point is measured this often, a round after the other, so that a slow half minute hits each of them once; the
// median counts.
constexpr std::uint32_t kRounds = 3;

class EngineBench {
 public:
  EngineBench(engine::EngineProbe& probe, std::vector<kvcache::CostSample>& samples,
              const kvcache::CostProfile& expected)
      : probe_(probe), samples_(samples), expected_(expected) {
    for (const kvcache::CostSample& sample : samples_)
      expected_ms_ += kRounds * kvcache::predicted_ms(expected, sample);
  }

  // Fills in the samples' times.
  Status run(BenchProgress& progress) {
    std::vector<std::vector<double>> times(samples_.size());
    for (std::uint32_t round = 1; round <= kRounds; ++round) {
      for (std::size_t i = 0; i < samples_.size(); ++i) {
        progress.show(done_ms_ / expected_ms_,
                      fmt::format("round {} of {}, point {} of {}", round, kRounds, i + 1, samples_.size()));
        MC_ASSIGN_OR_RETURN(const double ms, probe_.measure(samples_[i]));
        times[i].push_back(ms);
        done_ms_ += kvcache::predicted_ms(expected_, samples_[i]);
      }
    }
    for (std::size_t i = 0; i < samples_.size(); ++i) samples_[i].ms = percentile(times[i], 50);
    return {};
  }

 private:
  engine::EngineProbe& probe_;
  std::vector<kvcache::CostSample>& samples_;
  const kvcache::CostProfile& expected_;  // only for the bar
  double expected_ms_ = 0;
  double done_ms_ = 0;
};

// Caches and kernels make single points a third off on a quiet machine too; beyond this the user should know, though
// the profile may still serve.
constexpr double kDeviationSuspect = 0.5;

struct Measured {
  std::vector<kvcache::CostSample> samples;
  kvcache::CostProfile profile;
};

Result<Measured> measure(engine::EngineConfig config, const kvcache::CostProfile& builtin) {
  MC_ASSIGN_OR_RETURN(const engine::ModelFront front, engine::load_model_front(config));
  const std::uint32_t tokens_max = std::min(kTokensMax, front.model.context_tokens - 1);  // a step adds one
  Measured measured;
  MC_ASSIGN_OR_RETURN(measured.samples, kvcache::plan_cost_samples(tokens_max, front.layout.block_tokens));
  config.context_tokens = tokens_max + 1;
  config.sequences_max = kvcache::kFitBatchMax;
  MC_ASSIGN_OR_RETURN(const std::unique_ptr<engine::Engine> engine, engine::make_engine(config));
  BenchProgress progress;
  progress.show(0, "warming up");
  const std::uint32_t block_tokens = front.layout.block_tokens;
  MC_ASSIGN_OR_RETURN(engine::EngineProbe probe,
                      engine::EngineProbe::create(*engine, tokens_max / block_tokens * block_tokens));
  EngineBench bench(probe, measured.samples, builtin);
  MC_RETURN_IF_ERROR(bench.run(progress));
  kvcache::CostProfile base = builtin;
  base.name = front.model.id;
  base.kv_bytes_per_token = static_cast<double>(front.layout.block_bytes) / block_tokens;
  MC_ASSIGN_OR_RETURN(measured.profile, kvcache::fit_cost_profile(measured.samples, base));
  return measured;
}

std::string profile_file(const BenchEngineOptions& options, std::string model) {
  if (!options.output.empty()) return options.output;
  std::ranges::replace(model, '/', '-');
  return model + ".profile.json";
}

Status bench_engine(const BenchEngineOptions& options) {
  MC_ASSIGN_OR_RETURN(const kvcache::CostProfile builtin, resolve_profile("", options.engine.kind));
  MC_ASSIGN_OR_RETURN(const Measured measured, measure(options.engine, builtin));
  const std::string file = profile_file(options, measured.profile.name);
  MC_RETURN_IF_ERROR(write_json(file, kvcache::cost_profile_json(measured.profile)));
  MC_RETURN_IF_ERROR(publish({.benchmark = "engine",
                              .commit = std::string(commit()),
                              .machine = this_machine(),
                              .settings = {{"engine", options.engine.kind},
                                           {"model", measured.profile.name},
                                           {"threads", std::to_string(options.engine.threads)},
                                           {"profile", file}},
                              .rows = engine_rows(measured.samples, measured.profile, builtin.name)},
                             options.json));
  const bool suspect = std::ranges::any_of(measured.samples, [&](const kvcache::CostSample& sample) {
    return std::abs(kvcache::deviation(measured.profile, sample)) > kDeviationSuspect;
  });
  if (suspect)
    fmt::print(stderr, "mooncake: some times are far from the fit; was the machine busy with something else?\n");
  if (options.json != kJsonToStdout) {
    fmt::print("the profile is in {}; to use it: mooncake up --engine {} --profile {}\n", file, options.engine.kind,
               file);
  }
  return {};
}

}  // namespace

int run_bench_engine(const BenchEngineOptions& options) {
  const Status status = bench_engine(options);
  return status.ok() ? kExitOk : fail(status);
}

}  // namespace mooncake::cli
