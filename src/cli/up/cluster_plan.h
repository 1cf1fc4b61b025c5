// ClusterPlan: which processes a cluster on one machine consists of, and how each is started. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "transfer/auth/auth_config.h"

namespace mooncake::cli {

/// What `mooncake up` was asked for; ranges are checked by the option table.
struct UpConfig {
  std::string http;  ///< where the gateway listens, "127.0.0.1:8080"
  std::uint32_t prefill = 2;
  std::uint32_t decode = 1;
  std::uint32_t nodes = 1;
  std::string engine;  ///< "llama" or "simulated"
  std::string model;   ///< GGUF file; empty with the simulated engine
  std::string run_dir;
  std::string profile;  ///< the gateway's --profile; empty: not given
  std::string placement;
  std::string admission;
  bool elastic = false;
  bool replicate = false;
  double t_d_s = 0;
  std::string tenants;       ///< file of API keys; empty: none
  std::string decision_log;  ///< empty: none
  double ttft_slo_s = 0;
  double tbt_slo_ms = 0;
  std::uint64_t pool_bytes = 0;  ///< of each node
  std::string eviction;          ///< of each node
  std::uint32_t threads = 0;     ///< of each engine; 0: its share of the cores
  bool restart = true;
  std::string log_level;
  std::string cluster_id;     ///< of this cluster alone, so that no process of another can join by a recycled port
  transfer::AuthConfig auth;  ///< of each process
  std::string config_file;    ///< handed on to every process; empty: none
};

/// One process of the cluster. Roles: master, node, prefill, decode, gateway.
struct ProcessPlan {
  std::string role;
  std::string name;           ///< "prefill-0"; unique
  std::string attached_node;  ///< workers: the node that their blocks go to
};

/// All processes, the master first. Worker i of a role is attached to node i mod nodes; decode workers start counting
/// where prefill workers end, so that all nodes get some.
std::vector<ProcessPlan> plan_cluster(const UpConfig& config);

/// ggml's threads spin at a barrier, so engines that share a core make each other wait: two engines with two threads
/// each on two cores are 100 times slower than with one. Source: docs/serving.md.
std::uint32_t threads_per_engine(std::uint32_t cores, std::uint32_t engines);

/// What a process must know of its surroundings when it is started.
struct Surroundings {
  std::string master = {};  ///< endpoint; empty for the master itself
  std::string listen = {};  ///< endpoint to take again after a restart; empty: any port
  std::string log_file = {};
  std::uint32_t cores = 1;
  /// Of the gateway: so many workers it has to reach before it is ready. After a restart none: some may be dead.
  std::uint32_t ready_workers = 0;
};

/// The command line of one process, without the program's name.
std::vector<std::string> process_arguments(const UpConfig& config, const ProcessPlan& process,
                                           const Surroundings& surroundings);

}  // namespace mooncake::cli
