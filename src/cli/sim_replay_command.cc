// `mooncake sim replay-decisions LOG`: a gateway's decisions made again, and compared byte for byte.
#include <fmt/core.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "cli/json_output.h"
#include "cli/tool_commands.h"
#include "conductor/journal.h"

namespace mooncake::cli {
namespace {

std::string to_json(const conductor::ReplayReport& report) {
  nlohmann::ordered_json json = {
      {"calls", report.calls}, {"decisions", report.decisions}, {"different", report.different}};
  json["first_line"] = report.first_line ? nlohmann::ordered_json(*report.first_line) : nlohmann::ordered_json(nullptr);
  return json.dump(2) + "\n";
}

void print(const conductor::ReplayReport& report) {
  fmt::print("{} calls, {} decisions, {} of them different\n", report.calls, report.decisions, report.different);
  if (report.first_line) {
    fmt::print("line {} was\n  {}\nand is now\n  {}\n", *report.first_line, report.first_recorded, report.first_made);
  }
}

}  // namespace

int run_sim_replay(const Invocation& invocation) {
  const std::string& path = invocation.arguments.front();
  std::ifstream file(path, std::ios::binary);
  if (!file) return fail(Status(Code::kNotFound, fmt::format("the log {} cannot be read", path)));
  const auto report = conductor::replay_journal(file);
  if (!report.ok()) {
    (void)fail(report.status().annotate(path));
    return kExitUsage;
  }
  const std::string& json = invocation.config.text("sim_replay.json");
  if (json != kJsonToStdout) print(*report);
  const Status written = write_json(json, to_json(*report));
  if (!written.ok()) return fail(written);
  return report->different == 0 ? kExitOk : kExitFailure;
}

}  // namespace mooncake::cli
