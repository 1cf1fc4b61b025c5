#include "cli/command.h"
#include "cli/role_commands.h"
#include "cli/tool_commands.h"

namespace mooncake::cli {
namespace {

Command role(std::string_view name, std::string_view summary, std::string_view examples,
             int (*run)(const Invocation& invocation)) {
  return {.name = name,
          .summary = summary,
          .examples = examples,
          .section = name,
          .argument = {},
          .switches = {},
          .run = run};
}

}  // namespace

// NOLINTNEXTLINE(readability-function-size): a flat table
const std::vector<Command>& commands() {
  static const std::vector<Command> all = {
      {.name = "up",
       .summary = "A whole cluster on this machine, as separate processes, until Ctrl-C",
       .examples = "  mooncake up\n"
                   "  mooncake up --engine simulated --prefill 4 --decode 4 --nodes 3\n"
                   "  mooncake up --http 127.0.0.1:0 --run-dir here --admission early --ttft-slo-s 2\n",
       .section = "up",
       .run = run_up},
      role("master", "Directory and membership of a cluster", "  mooncake master --listen 127.0.0.1:7000\n",
           run_master),
      role("node", "Store node: memory for KVCache blocks", "  mooncake node --name node-0 --master 127.0.0.1:7000\n",
           run_node),
      role("worker", "Prefill or decode worker with an engine",
           "  mooncake worker --role prefill --name prefill-0 --master 127.0.0.1:7000 --node node-0\n", run_worker),
      role("gateway", "OpenAI endpoint with the Conductor",
           "  mooncake gateway --http 127.0.0.1:8080 --master 127.0.0.1:7000\n", run_gateway),
      {.name = "chat",
       .summary = "Talk to the model",
       .examples = "  mooncake chat\n  mooncake chat --url http://127.0.0.1:8080 --system 'Answer in one sentence.'\n",
       .section = "chat",
       .run = run_chat},
      {.name = "generate",
       .summary = "The model in one process, without a cluster: the reference for what a cluster answers",
       .examples = "  mooncake generate --prompt 'Once upon a time'\n"
                   "  mooncake generate --chat --prompt 'What is a mooncake?' --max-tokens 64\n"
                   "  mooncake generate --engine simulated --input requests.jsonl\n",
       .section = "generate",
       .run = run_generate_command},
      {.name = "bench serve",
       .summary = "What a client of a running cluster sees: times to the first token, cold and warm; goodput",
       .examples = "  mooncake bench serve --prefix-tokens 2000 --requests 8 --json report.json\n"
                   "  mooncake bench serve --scenario poisson --rate 4 --duration 30\n"
                   "  mooncake bench serve --scenario trace --trace FILE --tokens-scale 0.125 --duration 60\n",
       .section = "bench",
       .run = run_bench_serve_command},
      {.name = "bench engine",
       .summary = "What an engine takes on this machine, without a cluster, and the cost profile that says so",
       .examples = "  mooncake bench engine                     (a minute or two)\n"
                   "  mooncake bench engine --threads 4 --output mine.json && mooncake up --profile mine.json\n",
       .section = "bench_engine",
       .run = run_bench_engine_command},
      {.name = "bench conductor",
       .summary =
           "How fast the scheduler is, without a cluster: lookups in the prefix index, memory, decisions a second",
       .examples = "  mooncake bench conductor --json report.json\n"
                   "  mooncake bench conductor --blocks 1000000 --lookups 100000\n",
       .section = "bench_conductor",
       .run = run_bench_conductor_command},
      {.name = "bench transfer",
       .summary =
           "How fast bytes and messages move between two processes, beside memcpy, iperf3, fio and plain sockets",
       .examples = "  mooncake bench transfer --json report.json          (two minutes)\n"
                   "  mooncake bench transfer --transports tcp --block-bytes 65536,1048576 --batch 32 --threads 1\n",
       .section = "bench_transfer",
       .run = run_bench_transfer_command},
      {.name = "transfer serve",
       .summary = "Offer a segment of memory to `transfer read`, `write` and `bench`, until Ctrl-C",
       .examples = "  mooncake transfer serve                   (prints where, as a line of JSON)\n"
                   "  mooncake transfer serve --listen 127.0.0.1:7100 --bytes 1073741824\n"
                   "  mooncake transfer serve --listen 10.0.0.5:7100 --auth mac --auth-secret-file secret\n",
       .section = "transfer_serve",
       .run = run_transfer_serve},
      {.name = "transfer read",
       .summary = "Read from the segment of a `transfer serve`; says by which transport and how fast",
       .examples = "  mooncake transfer read --peer 127.0.0.1:7100 --length 1048576 --output bytes\n",
       .section = "transfer_read",
       .run = run_transfer_read},
      {.name = "transfer write",
       .summary = "Write a file into the segment of a `transfer serve`",
       .examples = "  mooncake transfer write --peer 127.0.0.1:7100 --offset 4096 --input bytes\n",
       .section = "transfer_write",
       .run = run_transfer_write},
      {.name = "transfer bench",
       .summary = "How fast bytes move to and from a `transfer serve` that runs somewhere else",
       .examples = "  mooncake transfer bench --peer 127.0.0.1:7100 --transports shm,tcp\n"
                   "  mooncake transfer bench --peer 10.0.0.5:7100 --auth mac --auth-secret-file secret\n",
       .section = "transfer_bench",
       .run = run_transfer_bench},
      {.name = "kv why",
       .summary = "Why a request went where it went: every candidate, and what really happened",
       .examples = "  mooncake kv why REQUEST_ID        (the header x-request-id of an answer)\n",
       .section = "kv",
       .argument = "request_id",
       .switches = {},
       .run = run_kv_why},
      {.name = "transfer topology",
       .summary = "Which network devices are near which memory: the rails of transfers",
       .examples = "  mooncake transfer topology\n"
                   "  mooncake transfer topology --json > mine.json    (edit it, then look at it again)\n"
                   "  mooncake transfer topology --topology mine.json\n",
       .section = "transfer",
       .run = run_transfer_topology},
      {.name = "sim",
       .summary = "The simulator: traces replayed without a cluster",
       .examples = "  mooncake sim --experiment overload --trace conversation_trace.jsonl --html overload.html\n",
       .section = "sim",
       .run = run_sim_experiment},
      {.name = "sim cache",
       .summary = "What part of a trace's prompts a cache would hold, by its size and eviction policy",
       .examples = "  mooncake sim cache --trace conversation_trace.jsonl --capacity-blocks 20000\n"
                   "  mooncake sim cache --trace conversation_trace.jsonl --policy opt --nodes 10 --json\n",
       .section = "sim_cache",
       .run = run_sim_cache},
      {.name = "sim run",
       .summary = "Serve a trace with a simulated cluster: TTFT, TBT, goodput",
       .examples = "  mooncake sim run --trace conversation_trace.jsonl --prefill 8 --decode 8\n"
                   "  mooncake sim run --trace conversation_trace.jsonl --admission early --speed 2 --json\n"
                   "  mooncake sim run --trace conversation_trace.jsonl --html run.html\n",
       .section = "sim_run",
       .run = run_sim_run},
      {.name = "sim plan",
       .summary = "The smallest clusters that serve a trace within its objectives",
       .examples = "  mooncake sim plan --trace conversation_trace.jsonl --ttft-slo-s 30 --tbt-slo-ms 100\n",
       .section = "sim_plan",
       .run = run_sim_plan},
      {.name = "sim replay-decisions",
       .summary = "Make a gateway's decisions again and compare them byte for byte",
       .examples = "  mooncake up --decision-log decisions.jsonl\n"
                   "  mooncake sim replay-decisions decisions.jsonl\n",
       .section = "sim_replay",
       .argument = "log",
       .switches = {},
       .run = run_sim_replay},
      {.name = "trace generate",
       .summary = "Write a trace like a published workload",
       .examples = "  mooncake trace generate --preset toolagent --requests 20000 --seed 1 > toolagent.jsonl\n",
       .section = "trace",
       .run = run_trace_generate},
      {.name = "sim workload",
       .summary = "A trace in figures: rate, lengths, and how much of it is asked for again",
       .examples = "  mooncake sim workload --trace conversation_trace.jsonl\n",
       .section = "sim_workload",
       .run = run_sim_workload},
      {.name = "config show",
       .summary = "Every option's value",
       .examples = "  mooncake config show --origin\n  mooncake --config mooncake.toml config show --origin\n",
       .section = {},
       .argument = {},
       .switches = {"--origin"},
       .run = run_config_show},
      {.name = "config docs",
       .summary = "docs/configuration.md, made from the option table",
       .examples = {},
       .section = {},
       .run = run_config_docs},
      {.name = "tenant-key",
       .summary = "The key of one tenant, made from the cluster's secret, for its clients' --auth-secret-file",
       .examples = "  (umask 077; mooncake tenant-key --auth-secret-file secret --auth-tenant blue > blue.key)\n",
       .section = "tenant_key",
       .run = run_tenant_key},
      {.name = "doctor",
       .summary = "Whether this machine can run a cluster, and what to do if not",
       .examples = "  mooncake doctor\n",
       .section = "doctor",
       .run = run_doctor},
  };
  return all;
}

}  // namespace mooncake::cli
