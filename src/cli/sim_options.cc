#include "cli/sim_options.h"

#include <fmt/core.h>

#include <charconv>

#include "cli/profile_option.h"

namespace mooncake::cli {

Result<std::optional<std::uint64_t>> parse_capacity(std::string_view flag, const std::string& text) {
  if (text == "inf") return std::optional<std::uint64_t>();
  std::uint64_t blocks = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), blocks);
  if (error != std::errc() || end != text.data() + text.size() || blocks == 0) {
    return Status(Code::kInvalidArgument,
                  fmt::format("{}: expected a number of blocks or \"inf\", got \"{}\"", flag, text));
  }
  return std::optional(blocks);
}

Result<sim::ClusterConfig> cluster_config(const Config& config) {
  sim::ClusterConfig cluster;
  cluster.prefill = static_cast<std::uint32_t>(config.integer("sim_run.prefill"));
  cluster.decode = static_cast<std::uint32_t>(config.integer("sim_run.decode"));
  MC_ASSIGN_OR_RETURN(cluster.placement, conductor::parse_placement(config.text("sim_run.placement")));
  MC_ASSIGN_OR_RETURN(cluster.admission, conductor::parse_admission(config.text("sim_run.admission")));
  cluster.decode_time = from_ms(config.number("sim_run.t_d_s") * 1e3);
  cluster.slo.ttft = from_ms(config.number("sim_run.ttft_slo_s") * 1e3);
  cluster.slo.tbt = from_ms(config.number("sim_run.tbt_slo_ms"));
  cluster.balancing_threshold = config.number("sim_run.balancing_threshold");
  MC_ASSIGN_OR_RETURN(cluster.profile, resolve_profile(config.text("sim_run.profile")));
  cluster.eviction = config.text("sim_run.policy");
  MC_ASSIGN_OR_RETURN(cluster.cache_blocks_per_node,
                      parse_capacity("--cache-blocks-per-node", config.text("sim_run.cache_blocks_per_node")));
  cluster.link_gbps = config.number("sim_run.link_gbps");
  cluster.ssd_blocks_per_node = static_cast<std::uint64_t>(config.integer("sim_run.ssd_blocks_per_node"));
  cluster.ssd_gbps = config.number("sim_run.ssd_gbps");
  cluster.speed = config.number("sim_run.speed");
  cluster.decode_kv_tokens = static_cast<std::uint64_t>(config.integer("sim_run.decode_kv_tokens"));
  cluster.prefill_only = config.boolean("sim_run.prefill_only");
  cluster.elastic = config.boolean("sim_run.elastic");
  cluster.replicate = config.boolean("sim_run.replicate");
  if (const double mtbf_s = config.number("sim_run.mtbf_s"); mtbf_s > 0) cluster.mtbf = from_ms(mtbf_s * 1e3);
  cluster.repair = from_ms(config.number("sim_run.repair_s") * 1e3);
  cluster.seed = static_cast<std::uint64_t>(config.integer("sim_run.seed"));
  return cluster;
}

}  // namespace mooncake::cli
