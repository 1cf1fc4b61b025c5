// The tools, one function each. Options: the section of the same name.
#pragma once

#include "cli/command.h"

namespace mooncake::cli {

int run_up(const Invocation& invocation);
int run_chat(const Invocation& invocation);
int run_generate_command(const Invocation& invocation);
int run_bench_serve_command(const Invocation& invocation);
int run_bench_engine_command(const Invocation& invocation);
int run_bench_conductor_command(const Invocation& invocation);
int run_transfer_serve(const Invocation& invocation);
int run_transfer_read(const Invocation& invocation);
int run_transfer_write(const Invocation& invocation);
int run_transfer_bench(const Invocation& invocation);
int run_bench_transfer_command(const Invocation& invocation);
int run_kv_why(const Invocation& invocation);
int run_sim_cache(const Invocation& invocation);
int run_sim_experiment(const Invocation& invocation);
int run_sim_plan(const Invocation& invocation);
int run_sim_replay(const Invocation& invocation);
int run_sim_run(const Invocation& invocation);
int run_sim_workload(const Invocation& invocation);
int run_transfer_topology(const Invocation& invocation);
int run_trace_generate(const Invocation& invocation);
int run_config_show(const Invocation& invocation);
int run_config_docs(const Invocation& invocation);
int run_doctor(const Invocation& invocation);

}  // namespace mooncake::cli
