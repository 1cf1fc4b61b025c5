// `mooncake sim plan`: the smallest clusters that serve a trace within its objectives.
#include <filesystem>

#include "cli/profile_option.h"
#include "cli/report_output.h"
#include "cli/tool_commands.h"
#include "cli/version.h"
#include "sim/plan/plan_report.h"
#include "sim/trace/trace_reader.h"

namespace mooncake::cli {
namespace {

Status run(const Invocation& invocation) {
  const Config& config = invocation.config;
  sim::PlanQuestion question;
  question.slo = {.ttft = from_ms(config.number("sim_plan.ttft_slo_s") * 1e3),
                  .tbt = from_ms(config.number("sim_plan.tbt_slo_ms"))};
  question.target = config.number("sim_plan.target");
  question.speed = config.number("sim_plan.speed");
  MC_ASSIGN_OR_RETURN(question.profile, resolve_profile(config.text("sim_plan.profile")));
  // A quarter of the paper's memory and network, its own, and what newer machines have; without SSDs, and with two
  // drives of 7.68 TB.
  question.memory_gb = {250, 1'000, 4'000};
  question.ssd_gb = {0, 15'360};
  question.ssd_gbps = 2 * 56;
  question.link_gbps = {100, 400, 800};
  question.progress = show_progress;
  const std::string& path = config.text("sim_plan.trace");
  MC_ASSIGN_OR_RETURN(const sim::Trace trace, sim::read_trace_file(path));
  MC_ASSIGN_OR_RETURN(const auto clusters, sim::plan(trace, question));
  show_progress("");
  sim::Report report = sim::plan_report(question, clusters);
  report.setting = {{"trace", std::filesystem::path(path).filename().string()},
                    {"profile", question.profile.name},
                    {"commit", std::string(commit())}};
  return publish_report(report, config.text("sim_plan.json"), config.text("sim_plan.html"), invocation.environment);
}

}  // namespace

int run_sim_plan(const Invocation& invocation) {
  if (invocation.config.text("sim_plan.trace").empty()) {
    (void)fail(Status(Code::kInvalidArgument, "--trace is missing: the file with the requests to plan for"));
    return kExitUsage;
  }
  const Status status = run(invocation);
  if (status.ok()) return kExitOk;
  (void)fail(status);
  return status.code() == Code::kInvalidArgument ? kExitUsage : kExitFailure;
}

}  // namespace mooncake::cli
