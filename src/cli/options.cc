#include "cli/options.h"

#include <fmt/core.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <deque>
#include <filesystem>
#include <vector>

#include "sim/cache/cache_replay.h"
#include "sim/cluster/cluster.h"
#include "sim/experiment/experiment.h"
#include "sim/trace/trace_reader.h"
#include "store/core/eviction/eviction_policy.h"
#include "store/core/node_core.h"

namespace mooncake::cli {
namespace {

/// Put there by tools/llama/model, which names it in the same way.
constexpr std::string_view kDefaultModelFile = "models/smollm2-135m-instruct-q8_0.gguf";

/// Variables that begin like an option's and are none. The cache directory is shared with tools/llama/cache.sh; the
/// others are read by the tests (tests/integration/cluster.py, .ci/run), which start this program with them set.
constexpr std::array<std::string_view, 4> kVariablesOfTools = {"MOONCAKE_CACHE_DIR", "MOONCAKE_BINARY",
                                                               "MOONCAKE_SLOWDOWN", "MOONCAKE_TRACES"};

/// Processes of one kind on one machine; a mistyped zero should not fork a thousand times.
constexpr double kProcessesMax = 64;
constexpr double kGibibyte = 1024.0 * 1024 * 1024;

/// The table under construction. Keys and flags are put together from a section and a name, so their text is kept here.
class Table {
 public:
  void section(std::string_view name) { section_ = name; }

  void text(std::string_view name, std::string_view value, std::string_view help,
            std::vector<std::string_view> choices = {}) {
    add(name, ConfigType::kString, value, help).choices = std::move(choices);
  }
  void integer(std::string_view name, std::string_view value, double min, double max, std::string_view help) {
    bound(add(name, ConfigType::kInteger, value, help), min, max);
  }
  void number(std::string_view name, std::string_view value, double min, double max, std::string_view help) {
    bound(add(name, ConfigType::kNumber, value, help), min, max);
  }
  void boolean(std::string_view name, std::string_view value, std::string_view help) {
    add(name, ConfigType::kBoolean, value, help);
  }

  /// --json alone prints to standard output, --json FILE writes a file.
  void json(std::string_view what) {
    ConfigOption& row = add("json", ConfigType::kString, "",
                            texts_.emplace_back(fmt::format("{} as JSON goes to this file; `-`, or the flag alone: "
                                                            "to standard output, and nothing else does.",
                                                            what)));
    row.flag_alone = "-";
  }
  /// The last option's flag, where it is not the key's.
  void flag(std::string_view name) { rows_.back().flag = name; }

  [[nodiscard]] const std::vector<ConfigOption>& rows() const { return rows_; }

 private:
  ConfigOption& add(std::string_view name, ConfigType type, std::string_view value, std::string_view help) {
    const std::string& key = texts_.emplace_back(fmt::format("{}.{}", section_, name));
    std::string& flag = texts_.emplace_back(fmt::format("--{}", name));
    std::replace(flag.begin(), flag.end(), '_', '-');
    return rows_.emplace_back(
        ConfigOption{.key = key, .type = type, .default_value = value, .help = help, .flag = flag});
  }
  static void bound(ConfigOption& option, double min, double max) {
    option.min = min;
    option.max = max;
  }

  std::string_view section_;
  std::deque<std::string> texts_;  ///< a deque: its elements never move
  std::vector<ConfigOption> rows_;
};

void add_log_level(Table& table) {
  table.text("log_level", "info", "What is logged: this and everything graver.", {"debug", "info", "warn", "error"});
}

void add_engine(Table& table) {
  table.text("engine", "llama", "What computes the model; `simulated` needs none and waits instead of computing.",
             {"llama", "simulated"});
  table.text("model", "", "GGUF file for the llama engine; empty: the default model that `make build` puts in place.");
}

void add_profile(Table& table) {
  table.text("profile", "",
             "What the Conductor expects things to take: the name of a built-in cost profile, or a .json file that "
             "`bench engine` wrote; empty: the engine's.");
}

void add_decision_log(Table& table) {
  table.text("decision_log", "",
             "Everything the Conductor is told and decides goes to this file, for `sim replay-decisions`; it grows by "
             "some kilobytes a request. Empty: nowhere.");
}

void add_tenants(Table& table) {
  table.text(
      "tenants", "",
      "TOML file with the API keys and whose they are (docs/serving.md): requests need one then, and tenants take "
      "turns. Empty: everybody is one tenant, without a key.");
}

void add_scheduling(Table& table) {
  table.text("placement", "cost-min", "How the Conductor chooses instances.",
             {"cost-min", "algorithm1", "random", "round-robin", "least-outstanding", "least-time", "local"});
  table.text("admission", "none",
             "Whom the Conductor refuses: all but `none` refuse what could not meet the objectives; they differ in how "
             "they foresee decode.",
             {"none", "baseline", "early", "predictive", "survival"});
  table.number("t_d_s", "10", 0.001, 86'400, "predictive: how long every request is taken to decode, in seconds.");
  table.number("ttft_slo_s", "30", 0.001, 86'400, "Objective for the time to the first token, in seconds.");
  table.number("tbt_slo_ms", "300", 0.1, 3'600'000, "Objective for the time between tokens, in milliseconds.");
}

void add_actions(Table& table) {
  table.boolean("elastic", "false",
                "Workers change between prefill and decode when one of the two breaks its objective more often.");
  table.boolean("replicate", "false", "Prefixes that are used often are copied to more nodes ahead of requests.");
}

void add_pool(Table& table) {
  table.integer("pool_bytes", "536870912", 1 << 20, 1024 * kGibibyte, "Memory of one store node for KVCache blocks.");
  const std::span<const std::string_view> policies = store::node_eviction_names();
  table.text("eviction", store::kDefaultEviction, "Which blocks go when a store node is full; see docs/store.md.",
             {policies.begin(), policies.end()});
}

/// How processes of a cluster convince each other that they belong to it: docs/transfer.md.
void add_auth(Table& table) {
  table.text("auth", "plain",
             "How processes prove that they belong to the cluster: not at all, with a secret that all have (mac), or "
             "with certificates (tls).",
             {"plain", "mac", "tls"});
  table.text(
      "auth_secret_file", "",
      "mac: file with the cluster's secret, 32 bytes or more, or with the tenant's key; nobody else may read it.");
  table.text("auth_tenant", "", "mac: whose key the file holds; empty: it is the cluster's secret.");
  table.text("tls_cert", "",
             "tls: PEM file with this process's certificate, and intermediate ones after it; its subjectAltName must "
             "have the process's name.");
  table.text("tls_key", "", "tls: PEM file with the certificate's key; nobody else may read it.");
  table.text("tls_ca", "", "tls: PEM file with the authority that signed the certificates of the cluster.");
  table.boolean("insecure", "false",
                "plain: listen elsewhere than on loopback all the same; whoever reaches the port may do everything.");
  table.boolean("trusted_fabric", "false",
                "tls: bulk between processes of one user on one machine may go by shared memory, past TLS.");
}

void add_topology(Table& table) {
  table.text("topology", "",
             "File that says which network devices are near which memory (docs/transfer.md), for the choice of rails; "
             "empty: discovered, where there is a choice.");
}

void add_rails(Table& table) {
  table.text(
      "rails", "",
      "Endpoints on further network interfaces, with commas between (10.0.1.5:0,10.0.2.5:0): transfers spread over "
      "them, and go on when one fails.");
  add_topology(table);
}

/// What every process of a cluster has.
void add_process(Table& table, std::string_view name) {
  table.text("name", name, "The process's name, unique in the cluster.");
  table.text("listen", "127.0.0.1:0", "Where its transfer engine listens; port 0 takes a free one.");
  table.text("cluster_id", "default", "Processes with another cluster id are refused.");
  add_auth(table);
  add_rails(table);
  table.text("rdma_devices", "auto",
             "RDMA devices for bulk between hosts: auto (all there are), none, or names as in mlx5_0,mlx5_1.");
  table.text("log_file", "", "Where the log goes; empty: standard error.");
  add_log_level(table);
  table.integer("ready_fd", "-1", -1, 1'000'000,
                "Descriptor that gets a JSON line when the process is ready, and again in another role; -1: none.");
}

/// Of processes other than the gateway, which answers all of it at its own address.
void add_admin(Table& table) {
  table.text("metrics", "127.0.0.1:0", "Where it answers /metrics, /livez and /readyz; port 0 takes a free one.");
}

void add_member(Table& table) { table.text("master", "", "The master's transfer endpoint, \"127.0.0.1:7000\"."); }

void add_trace(Table& table) {
  table.text("trace", "", "The trace: JSON lines with timestamp, input_length, output_length, hash_ids.");
}

/// A mistyped zero should not take all of a machine's memory.
constexpr double kSegmentBytesMax = 64 * kGibibyte;

/// Of both ends of `transfer`. With the name of a node, that node's certificate will do.
void add_transfer_end(Table& table, std::string_view name) {
  table.text("name", name, "What peers know it by; with tls its certificate must have this name.");
  add_auth(table);
}

void add_trace_file(Table& table) {
  table.text("trace", "",
             "File for every batch, slice and call with its times, which https://ui.perfetto.dev shows; empty: none.");
}

void add_transfer_client(Table& table) {
  table.text("peer", "", "Endpoint of a `transfer serve`, \"127.0.0.1:7100\".");
  add_transfer_end(table, "transfer-client");
  add_topology(table);
}

void add_copy(Table& table) {
  add_transfer_client(table);
  table.integer("offset", "0", 0, 9.0e18, "Where in the peer's segment, in bytes.");
  table.text("transport", "auto", "`auto`: the fastest that reaches the peer; `tcp`: no other.", {"auto", "tcp"});
  add_trace_file(table);
}

/// Lists with commas in between; every combination is measured.
void add_sweep(Table& table, std::string_view transports) {
  table.json("The report");
  table.text("transports", transports, "Which transports are measured, with commas in between.");
  table.text("block_bytes", "4096,65536,1048576", "Sizes of a request, in bytes.");
  table.text("batch", "1,32", "Requests that are in flight together.");
  table.text("threads", "1,2", "Threads that submit such batches.");
  table.number("seconds", "0.4", 0.001, 3600, "How long each combination is measured.");
}

void add_transfer(Table& table) {
  table.section("transfer_serve");
  table.text("listen", "127.0.0.1:0", "Where the engine listens; port 0 takes a free one.");
  table.integer("bytes", "268435456", 1, kSegmentBytesMax, "Size of the segment.");
  table.integer("seed", "1", 0, 9.0e18, "Of the noise in it: the same one gives the same bytes.");
  table.integer("ready_fd", "-1", -1, 1'000'000, "Descriptor that gets the line of JSON, too; -1: none.");
  add_transfer_end(table, "transfer-serve");
  add_rails(table);

  table.section("transfer_read");
  add_copy(table);
  table.integer("length", "1048576", 0, 9.0e18, "How many bytes.");
  table.text("output", "", "Where they go; empty: nowhere.");

  table.section("transfer_write");
  add_copy(table);
  table.text("input", "", "File with the bytes.");

  table.section("transfer_bench");
  add_transfer_client(table);
  add_sweep(table, "tcp");
  add_trace_file(table);

  table.section("bench_transfer");
  add_sweep(table, "mem,shm,tcp,file,cuda");
  table.text("directory", ".",
             "Where the file of transport `file` is while it is measured: 1 GiB, or more if the sweep needs it. It "
             "should be on a disk.");
  table.integer("rounds", "5", 0, 1000,
                "How often our figures and their baselines are measured in turn; 0: only the sweep.");
}

void add_sim(Table& table) {
  table.section("sim");
  std::vector<std::string_view> names = {""};
  for (const sim::Experiment& known : sim::experiments()) names.push_back(known.name);
  table.text("experiment", "", "Which experiment to run; see docs/simulator.md.", std::move(names));
  table.text("trace", "", "The workload, where the experiment does not make its own; empty: a generated one.");
  table.text("html", "", "Where the page with the charts goes; empty: none.");
  table.integer("seed", "1", 0, 9.0e18, "Of everything that is drawn.");
  table.json("The report");

  table.section("sim_cache");
  add_trace(table);
  std::vector<std::string_view> policies = {"default"};
  for (const std::string_view name : store::eviction_policy_names()) policies.push_back(name);
  std::vector<std::string_view> store_policies = policies;
  policies.push_back("opt");
  table.text("policy", "default", "What goes when a cache is full; `opt` knows the future and bounds all others.",
             std::move(policies));
  table.text("capacity_blocks", "inf", "Blocks of 512 tokens that a node holds; `inf`: no limit.");
  table.integer("nodes", "1", 1, sim::kCacheNodesMax, "Caches that share the requests.");
  table.text("routing", "random", "Which node gets a request.", {"random", "round-robin"});
  table.json("The hit rates");

  table.section("sim_run");
  add_trace(table);
  table.integer("prefill", "8", 1, sim::kClusterInstancesMax, "Prefill instances, each with a cache.");
  table.integer("decode", "8", 1, sim::kClusterInstancesMax, "Decode instances.");
  add_scheduling(table);
  table.number("balancing_threshold", "1.3", 0, 1e9, "algorithm1: fetch if the best prefix is so many times the own.");
  table.text("profile", "llama3-70b@8xA800",
             "What prefill, steps and transfers take: a built-in profile, or a .json file that `bench engine` wrote.");
  table.text("policy", "default", "What goes when a cache is full.", std::move(store_policies));
  table.text("cache_blocks_per_node", "inf",
             "Blocks of 512 tokens in the cache of a prefill instance; `inf`: no limit.");
  table.integer("ssd_blocks_per_node", "0", 0, 1e12, "Blocks on the SSDs of a prefill instance, below its cache.");
  table.number("ssd_gbps", "56", 1e-6, 1e9, "What a node reads from its SSDs, in gigabits a second.");
  table.number("link_gbps", "800", 1e-6, 1e9, "What a node sends, in gigabits a second.");
  table.number("speed", "1", 1e-6, 1e6, "Arrivals come so many times as fast.");
  table.integer("decode_kv_tokens", "1400000", 1, 1e15, "Tokens of KVCache that a decode instance holds.");
  table.boolean("prefill_only", "false", "Requests end with their first token.");
  table.boolean("elastic", "false", "Nodes change their roles when prefill or decode is busier than the other.");
  table.boolean("replicate", "false", "Prefixes that are used often are copied to more nodes ahead of requests.");
  table.number("mtbf_s", "0", 0, to_ms(sim::kMtbfMax) / 1e3,
               "Each node fails after so many seconds in the mean, exponentially distributed; 0: none fails.");
  table.number("repair_s", "120", 0, to_ms(sim::kMtbfMax) / 1e3,
               "With --mtbf-s: when a node that failed is back, with nothing in memory. 120 s load a 70B model.");
  table.integer("seed", "0", 0, 9.0e18, "Of random placement and failures.");
  table.text("html", "", "Where the page with the charts goes; empty: none.");
  table.json("The figures");

  table.section("sim_plan");
  add_trace(table);
  table.number("ttft_slo_s", "30", 0.001, 86'400, "Objective for the time to the first token, in seconds.");
  table.number("tbt_slo_ms", "100", 0.1, 3'600'000, "Objective for the time between tokens, in milliseconds.");
  table.number("target", "0.99", 1e-6, 1, "Share of the requests that have to meet both.");
  table.number("speed", "1", 1e-6, 1e6, "Arrivals come so many times as fast.");
  table.text("profile", "llama3-70b@8xA800",
             "What prefill, steps and transfers take: a built-in profile, or a .json file that `bench engine` wrote.");
  table.text("html", "", "Where the page with the charts goes; empty: none.");
  table.json("The clusters");

  table.section("sim_replay");
  table.json("The count of differences");

  table.section("trace");
  table.text("preset", "conversation", "The published workload whose means it has.",
             {"conversation", "toolagent", "synthetic"});
  table.integer("requests", "12031", 1, sim::kTraceRequestsMax, "How many.");
  table.number("rate", "0", 0, 1e6, "Requests a second; 0: the published one.");
  table.integer("seed", "0", 0, 9.0e18, "Of all draws.");
  table.text("output", "", "Where it goes; empty: standard output.");

  table.section("sim_workload");
  add_trace(table);
  table.json("The figures");
}

void add_up(Table& table) {
  table.section("up");
  table.text("http", "127.0.0.1:8080", "Where the gateway serves the OpenAI API; port 0 takes a free one.");
  table.integer("prefill", "2", 1, kProcessesMax, "Prefill workers.");
  table.integer("decode", "1", 1, kProcessesMax, "Decode workers.");
  table.integer("nodes", "1", 1, kProcessesMax, "Store nodes.");
  add_engine(table);
  table.text("run_dir", "", "Directory for cluster.json and the logs; empty: `run` in the cache directory.");
  add_profile(table);
  add_scheduling(table);
  add_tenants(table);
  add_decision_log(table);
  add_actions(table);
  add_pool(table);
  add_auth(table);
  table.integer("threads", "0", 0, 1024, "Threads of each engine; 0: the cores divided by the engines, at least 1.");
  table.boolean("restart", "true", "Start a process again when it died.");
  add_log_level(table);
}

void add_roles(Table& table) {
  table.section("master");
  add_process(table, "master");
  add_admin(table);

  table.section("node");
  add_process(table, "node-0");
  add_admin(table);
  add_member(table);
  add_pool(table);

  table.section("worker");
  add_process(table, "worker-0");
  add_admin(table);
  add_member(table);
  table.text("role", "prefill", "What this worker does, at first: gateways with --elastic may change it.",
             {"prefill", "decode"});
  add_engine(table);
  table.text("node", "", "Name of the store node that its blocks go to first; empty: any.");
  table.integer("threads", "1", 1, 1024, "Threads of the engine.");
  table.integer("sequences_max", "0", 0, 4096,
                "Requests in one batch; 0: 1 for prefill, 8 for decode, 32 for decode with the simulated engine.");
  table.integer("context_tokens", "0", 0, 1 << 24, "Longest prompt plus answer; 0: the model's own.");
  table.integer("chunk_tokens", "512", 64, 65'536, "Longest part of a prompt that is prefilled in one step.");
  table.integer("arena_bytes", "536870912", 1 << 20, 1024 * kGibibyte,
                "Memory for KVCache on its way: prompts being prefilled, or landing for decode.");

  table.section("gateway");
  add_process(table, "gateway");
  table.text("http", "127.0.0.1:8080", "Where the OpenAI API is served; port 0 takes a free one.");
  add_member(table);
  add_engine(table);
  add_profile(table);
  add_scheduling(table);
  add_tenants(table);
  add_decision_log(table);
  add_actions(table);
  table.number("request_timeout_s", "600", 1, 86'400, "Deadline of a whole request, in seconds.");
  table.integer("ready_workers", "0", 0, 65'536,
                "Workers that must be usable before the JSON line says ready; 0: one of each role, or 2 s are over.");
}

void add_cluster_client(Table& table) {
  table.text("url", "", "The gateway's URL; empty: that of the cluster in the run directory.");
  table.text("run_dir", "", "Run directory of the cluster; empty: the default one.");
  table.text("api_key_file", "", "File with the API key, where the gateway has tenants; empty: no key is sent.");
}

void add_bench(Table& table) {
  table.section("bench");
  add_cluster_client(table);
  table.text("scenario", "shared-prefix", "What is measured.", {"shared-prefix", "poisson", "trace"});
  table.json("The report");
  table.integer("requests", "8", 1, 10'000, "shared-prefix: prefixes, each sent twice.");
  table.integer("prefix_tokens", "2000", 1, 1 << 20, "shared-prefix: length of a prefix, about.");
  table.integer("question_tokens", "32", 1, 1 << 20, "shared-prefix: length of a question, about.");
  table.number("rate", "2", 0.001, 100'000, "poisson: requests a second.");
  table.number("duration_s", "0", 0, 86'400, "How long requests are sent; 0: 30 s of poisson, and the whole trace.");
  table.flag("--duration");
  table.text("save_trace", "", "poisson: the requests that were sent go to this file, as a trace for `sim`.");
  table.text("trace", "", "trace: the requests: JSON lines with timestamp, input_length, output_length, hash_ids.");
  table.number("speed", "1", 0.001, 1e6, "trace: how many times faster than it happened.");
  table.number("tokens_scale", "1", 0.001, 1000,
               "trace: prompts, answers and shared blocks are this many times longer.");
  table.integer("prompt_tokens", "256", 1, 1 << 20, "poisson: length of a prompt, about.");
  table.integer("answer_tokens", "16", 1, 1 << 20, "shared-prefix, poisson: length of an answer.");
  table.number("ttft_slo_s", "30", 0.001, 86'400, "Objective for the time to the first token, for goodput.");
  table.number("tbt_slo_ms", "300", 0.1, 3'600'000, "Objective for the time between tokens, for goodput.");
  table.integer("seed", "0", 0, 9.0e18, "Of prompts and arrivals; 0: another one each time.");

  table.section("bench_engine");
  add_engine(table);
  table.integer("threads", "1", 1, 1024, "Threads of the engine; give it what `up` gives each of its own.");
  table.text("output", "", "Where the cost profile goes; empty: MODEL.profile.json in the current directory.");
  table.json("The report");
}

void add_tools(Table& table) {
  table.section("chat");
  add_cluster_client(table);
  table.text("model", "", "Model to ask; empty: the one that the gateway serves.");
  table.text("system", "", "System message at the start of the conversation.");
  table.integer("max_tokens", "512", 1, 1 << 20, "Longest answer.");
  table.number("temperature", "0.7", 0, 2, "0 always takes the likeliest token.");

  table.section("kv");
  add_cluster_client(table);

  table.section("generate");
  add_engine(table);
  table.text("prompt", "", "Text to continue; or give prompt_file or input.");
  table.text("prompt_file", "", "File with the text to continue.");
  table.text("input", "", "File with a request a line, as JSON; the answers are JSON, one a line.");
  table.boolean("chat", "false", "The prompt is a user's message, which the model answers.");
  table.integer("max_tokens", "128", 1, 1 << 20, "Longest answer.");
  table.number("temperature", "0", 0, 2, "0 always takes the likeliest token.");
  table.number("top_p", "1", 0.000001, 1,
               "Only the likeliest tokens that together have this probability are drawn from.");
  table.integer("seed", "0", 0, 9.0e18, "Of the draws.");
  table.json("Text, tokens, times and the blocks' checksums");
  table.integer("threads", "1", 1, 1024, "Threads of the engine; any number gives the same answer.");
  table.integer("context_tokens", "0", 0, 1 << 24, "Longest prompt plus answer; 0: the model's own.");
  table.integer("chunk_tokens", "512", 64, 65'536, "Longest part of a prompt that is prefilled in one step.");

  add_bench(table);

  table.section("transfer");
  table.text("topology", "", "File with the devices for each memory (docs/transfer.md); empty: discovered.");
  table.json("The matrix, as --topology takes it,");

  table.section("bench_conductor");
  table.json("The report");
  table.integer("blocks", "10000000", 1000, 1e8,
                "Different blocks in the prefix index; ten million need 3 GB, most of it for what is compared with.");
  table.integer("lookups", "1000000", 100, 1e9, "Prompts looked up in each index, twice.");
  table.integer("decisions", "10000", 10, 1e7, "Decisions for each size of the cluster.");
  table.integer("seed", "1", 0, 9.0e18, "Of keys and requests: the same one gives the same work.");

  add_transfer(table);
  add_sim(table);

  table.section("tenant_key");
  table.text("auth_secret_file", "", "File with the cluster's secret.");
  table.text("auth_tenant", "", "Whose key it is to be.");

  table.section("doctor");
  table.text("http", "127.0.0.1:8080", "Address whose port must be free.");
  add_engine(table);
}

Table make_table() {
  Table table;
  add_up(table);
  add_roles(table);
  add_tools(table);
  return table;
}

const Table& table() {
  static const Table instance = make_table();
  return instance;
}

bool in_section(const ConfigOption& option, std::string_view section) {
  return option.key.starts_with(section) && option.key.substr(section.size()).starts_with('.');
}

}  // namespace

std::span<const ConfigOption> option_table() { return table().rows(); }

std::span<const ConfigOption> section_options(std::string_view section) {
  const auto rows = option_table();
  const auto wanted = [&](const ConfigOption& option) { return in_section(option, section); };
  const auto first = std::find_if(rows.begin(), rows.end(), wanted);
  const auto last = std::find_if_not(first, rows.end(), wanted);
  return {first, last};
}

Environment option_variables(const Environment& environment) {
  const std::string prefix = config_environment_name("");
  Environment ours;
  for (const auto& [name, value] : environment) {
    const bool tools = std::ranges::find(kVariablesOfTools, name) != kVariablesOfTools.end();
    if (name.starts_with(prefix) && !tools) ours.emplace(name, value);
  }
  return ours;
}

std::string variable(const Environment& environment, const std::string& name) {
  const auto at = environment.find(name);
  return at == environment.end() ? "" : at->second;
}

std::string cache_dir(const Environment& environment) {
  if (std::string dir = variable(environment, "MOONCAKE_CACHE_DIR"); !dir.empty()) return dir;
  if (std::string dir = variable(environment, "XDG_CACHE_HOME"); !dir.empty()) return dir + "/mooncake";
  return variable(environment, "HOME") + "/.cache/mooncake";
}

std::string default_run_dir(const Environment& environment) { return cache_dir(environment) + "/run"; }

Result<std::string> resolve_model(const std::string& engine, const std::string& model, const Environment& environment) {
  if (!model.empty() || engine != "llama") return model;
  const std::string path = fmt::format("{}/{}", cache_dir(environment), kDefaultModelFile);
  std::error_code error;
  if (std::filesystem::is_regular_file(path, error)) return path;
  return Status(
      Code::kNotFound,
      fmt::format("the default model is not in {}: get it with `make build` (or tools/llama/model), or give a "
                  "GGUF file with --model",
                  path));
}

std::string configuration_page() {
  constexpr std::string_view kText = R"(# Configuration

Every option can be set in a TOML file (`mooncake --config FILE ...`, a table for each section), in the
environment and on the command line: default < file < environment < flag. `mooncake config show --origin` prints
every value and who set it. An unknown key is an error, and so is a variable `MOONCAKE_...` that is not listed here;
the tools around the program have `{}`.
A boolean flag has an opposite, as in `--no-restart`.
This page is generated: `mooncake config docs > docs/configuration.md`.

)";
  return fmt::format(kText, fmt::join(kVariablesOfTools, "`, `")) + config_markdown(option_table());
}

}  // namespace mooncake::cli
