// `mooncake bench`: options in, measurement run, report out.
#include "cli/bench_engine.h"
#include "cli/bench_serve.h"
#include "cli/gateway_access.h"
#include "cli/tool_commands.h"

namespace mooncake::cli {
namespace {

std::uint32_t count(const Config& config, std::string_view key) {
  return static_cast<std::uint32_t>(config.integer(key));  // the option table bounds it
}

}  // namespace

int run_bench_serve_command(const Invocation& invocation) {
  const auto gateway = gateway_access(invocation, "bench");
  if (!gateway.ok()) return fail(gateway.status());
  const Config& config = invocation.config;
  return run_bench_serve({.gateway = *gateway,
                          .scenario = config.text("bench.scenario"),
                          .json = config.text("bench.json"),
                          .requests = count(config, "bench.requests"),
                          .prefix_tokens = count(config, "bench.prefix_tokens"),
                          .question_tokens = count(config, "bench.question_tokens"),
                          .rate = config.number("bench.rate"),
                          .duration_s = config.number("bench.duration_s"),
                          .prompt_tokens = count(config, "bench.prompt_tokens"),
                          .save_trace = config.text("bench.save_trace"),
                          .trace = config.text("bench.trace"),
                          .speed = config.number("bench.speed"),
                          .tokens_scale = config.number("bench.tokens_scale"),
                          .answer_tokens = count(config, "bench.answer_tokens"),
                          .ttft_slo_s = config.number("bench.ttft_slo_s"),
                          .tbt_slo_ms = config.number("bench.tbt_slo_ms"),
                          .seed = static_cast<std::uint64_t>(config.integer("bench.seed"))});
}

int run_bench_engine_command(const Invocation& invocation) {
  const Config& config = invocation.config;
  BenchEngineOptions options;
  options.engine.kind = config.text("bench_engine.engine");
  auto model = resolve_model(options.engine.kind, config.text("bench_engine.model"), invocation.environment);
  if (!model.ok()) return fail(model.status());
  options.engine.model_path = *model;
  options.engine.threads = count(config, "bench_engine.threads");
  options.output = config.text("bench_engine.output");
  options.json = config.text("bench_engine.json");
  return run_bench_engine(options);
}

}  // namespace mooncake::cli
