// `mooncake sim workload`: a trace in figures.
#include <fmt/core.h>

#include <nlohmann/json.hpp>

#include "cli/json_output.h"
#include "cli/tool_commands.h"
#include "sim/trace/trace_reader.h"
#include "sim/trace/workload.h"

namespace mooncake::cli {
namespace {

using Json = nlohmann::ordered_json;

void add(Json& json, const std::string& name, const sim::Summary& summary) {
  json[name + "_mean"] = summary.mean;
  json[name + "_p25"] = summary.p25;
  json[name + "_p50"] = summary.p50;
  json[name + "_p75"] = summary.p75;
  json[name + "_p90"] = summary.p90;
  json[name + "_p99"] = summary.p99;
  json[name + "_max"] = summary.max;
}

std::string to_json(const sim::Workload& workload) {
  Json json = {
      {"requests", workload.requests}, {"span_s", workload.span_s}, {"requests_per_s", workload.requests_per_s}};
  add(json, "input_tokens", workload.input_tokens);
  add(json, "output_tokens", workload.output_tokens);
  json["block_refs"] = workload.block_refs;
  json["distinct_blocks"] = workload.distinct_blocks;
  json["used_once"] = workload.used_once;
  json["reusable_blocks"] = workload.reusable_blocks;
  json["reusable_tokens"] = workload.reusable_tokens;
  json["hottest_block_requests"] = workload.hottest_block_requests;
  add(json, "reuse_gap_s", workload.reuse_gap_s);
  return json.dump(2) + "\n";
}

void print_row(const char* name, const sim::Summary& summary) {
  fmt::print("  {:<16}{:>10.1f}{:>10.0f}{:>10.0f}{:>10.0f}{:>10.0f}{:>10.0f}\n", name, summary.mean, summary.p25,
             summary.p50, summary.p90, summary.p99, summary.max);
}

void print(const sim::Workload& workload) {
  fmt::print("{} requests in {:.0f} s, {:.2f} a second\n", workload.requests, workload.span_s, workload.requests_per_s);
  fmt::print("  {:<16}{:>10}{:>10}{:>10}{:>10}{:>10}{:>10}\n", "", "mean", "p25", "p50", "p90", "p99", "max");
  print_row("input tokens", workload.input_tokens);
  print_row("output tokens", workload.output_tokens);
  print_row("reuse gap, s", workload.reuse_gap_s);
  fmt::print("{} blocks, {} of them different, {:.1f} % of those used once\n", workload.block_refs,
             workload.distinct_blocks, workload.used_once * 100);
  fmt::print("asked for again: {:.1f} % of blocks; leading: {:.1f} % of tokens\n", workload.reusable_blocks * 100,
             workload.reusable_tokens * 100);
  fmt::print("the hottest block is in {} requests\n", workload.hottest_block_requests);
}

}  // namespace

int run_sim_workload(const Invocation& invocation) {
  const std::string& path = invocation.config.text("sim_workload.trace");
  if (path.empty()) {
    (void)fail(Status(Code::kInvalidArgument, "--trace is missing: the file with the requests to describe"));
    return kExitUsage;
  }
  const auto trace = sim::read_trace_file(path);
  if (!trace.ok()) {
    (void)fail(trace.status());
    return trace.status().code() == Code::kInvalidArgument ? kExitUsage : kExitFailure;
  }
  const sim::Workload workload = sim::describe(*trace);
  const std::string& json = invocation.config.text("sim_workload.json");
  if (json != kJsonToStdout) print(workload);
  const Status written = write_json(json, to_json(workload));
  return written.ok() ? kExitOk : fail(written);
}

}  // namespace mooncake::cli
