#include "cli/up/cluster_plan.h"

#include <fmt/core.h>

#include <algorithm>
#include <string_view>

#include "cli/auth_options.h"

namespace mooncake::cli {
namespace {

/// A command line under construction: flags with their values.
class Arguments {
 public:
  explicit Arguments(std::vector<std::string> words) : words_(std::move(words)) {}

  Arguments& add(std::string_view flag, std::string value) {
    words_.emplace_back(flag);
    words_.push_back(std::move(value));
    return *this;
  }
  Arguments& add(std::string_view flag) {
    words_.emplace_back(flag);
    return *this;
  }
  Arguments& add_all(const std::vector<std::string>& words) {
    words_.insert(words_.end(), words.begin(), words.end());
    return *this;
  }
  Arguments& add_unless_empty(std::string_view flag, const std::string& value) {
    return value.empty() ? *this : add(flag, value);
  }
  std::vector<std::string> take() { return std::move(words_); }

 private:
  std::vector<std::string> words_;
};

void add_worker(Arguments& arguments, const UpConfig& config, const ProcessPlan& process, std::uint32_t cores) {
  const std::uint32_t threads =
      config.threads > 0 ? config.threads : threads_per_engine(cores, config.prefill + config.decode);
  arguments.add("--role", process.role)
      .add("--engine", config.engine)
      .add_unless_empty("--model", config.model)
      .add("--threads", std::to_string(threads))
      .add("--node", process.attached_node);
}

void add_gateway(Arguments& arguments, const UpConfig& config, const Surroundings& surroundings) {
  arguments.add("--http", surroundings.listen.empty() ? config.http : surroundings.listen)
      .add("--ready-workers", std::to_string(surroundings.ready_workers))
      .add("--engine", config.engine)
      .add_unless_empty("--model", config.model)
      .add_unless_empty("--profile", config.profile)
      .add("--placement", config.placement)
      .add("--admission", config.admission)
      .add("--t-d-s", fmt::format("{}", config.t_d_s))
      .add_unless_empty("--tenants", config.tenants)
      .add_unless_empty("--decision-log", config.decision_log)
      .add("--ttft-slo-s", fmt::format("{}", config.ttft_slo_s))
      .add("--tbt-slo-ms", fmt::format("{}", config.tbt_slo_ms));
  if (config.elastic) arguments.add("--elastic");
  if (config.replicate) arguments.add("--replicate");
}

}  // namespace

std::vector<ProcessPlan> plan_cluster(const UpConfig& config) {
  std::vector<ProcessPlan> plan = {{"master", "master", ""}};
  for (std::uint32_t i = 0; i < config.nodes; ++i) plan.push_back({"node", fmt::format("node-{}", i), ""});
  const auto attached = [&](std::uint32_t worker) {
    return fmt::format("node-{}", worker % std::max<std::uint32_t>(1, config.nodes));
  };
  for (std::uint32_t i = 0; i < config.prefill; ++i) {
    plan.push_back({"prefill", fmt::format("prefill-{}", i), attached(i)});
  }
  for (std::uint32_t i = 0; i < config.decode; ++i) {
    plan.push_back({"decode", fmt::format("decode-{}", i), attached(config.prefill + i)});
  }
  plan.push_back({"gateway", "gateway", ""});
  return plan;
}

std::uint32_t threads_per_engine(std::uint32_t cores, std::uint32_t engines) {
  return std::max<std::uint32_t>(1, cores / std::max<std::uint32_t>(1, engines));
}

std::vector<std::string> process_arguments(const UpConfig& config, const ProcessPlan& process,
                                           const Surroundings& surroundings) {
  const bool worker = process.role == "prefill" || process.role == "decode";
  std::vector<std::string> words;
  if (!config.config_file.empty()) words = {"--config", config.config_file};
  words.push_back(worker ? "worker" : process.role);
  Arguments arguments(std::move(words));
  arguments.add("--name", process.name)
      .add("--ready-fd", "3")
      .add("--log-file", surroundings.log_file)
      .add("--log-level", config.log_level)
      .add("--cluster-id", config.cluster_id)
      .add_all(auth_arguments(config.auth))
      .add_unless_empty("--master", surroundings.master);
  if (worker) add_worker(arguments, config, process, surroundings.cores);
  if (process.role == "gateway") add_gateway(arguments, config, surroundings);
  if (process.role == "node") {
    arguments.add("--pool-bytes", std::to_string(config.pool_bytes)).add("--eviction", config.eviction);
  }
  if (process.role == "master") arguments.add_unless_empty("--listen", surroundings.listen);
  return arguments.take();
}

}  // namespace mooncake::cli
