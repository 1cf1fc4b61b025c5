// `mooncake trace generate`: a workload like a published one, as JSON lines.
#include <fstream>
#include <iostream>

#include "cli/tool_commands.h"
#include "sim/trace/generator.h"
#include "sim/trace/trace_writer.h"

namespace mooncake::cli {
namespace {

Status generate(const Config& config) {
  MC_ASSIGN_OR_RETURN(sim::WorkloadShape shape, sim::workload_shape(config.text("trace.preset")));
  if (config.number("trace.rate") > 0) shape.requests_per_s = config.number("trace.rate");
  const sim::Trace trace = sim::generate_trace(shape, static_cast<std::uint64_t>(config.integer("trace.requests")),
                                               static_cast<std::uint64_t>(config.integer("trace.seed")));
  const std::string& output = config.text("trace.output");
  if (output.empty()) {
    sim::write_trace(trace, std::cout);
    std::cout.flush();
    return std::cout ? Status() : Status(Code::kUnavailable, "standard output cannot be written");
  }
  std::ofstream file(output, std::ios::binary);
  sim::write_trace(trace, file);
  file.close();
  return file ? Status() : Status(Code::kUnavailable, output + " cannot be written");
}

}  // namespace

int run_trace_generate(const Invocation& invocation) {
  const Status status = generate(invocation.config);
  return status.ok() ? kExitOk : fail(status);
}

}  // namespace mooncake::cli
