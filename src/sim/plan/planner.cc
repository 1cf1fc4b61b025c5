#include "sim/plan/planner.h"

#include <fmt/core.h>

#include <algorithm>
#include <optional>
#include <tuple>

namespace mooncake::sim {
namespace {

constexpr double kGigabyte = 1e9;
// Nodes added one by one after each kind was found for itself: they hinder each other little.
constexpr int kRepairsMax = 16;

/// What a node has, of what is tried.
struct Equipment {
  double memory_gb = 0;
  double ssd_gb = 0;
  double link_gbps = 0;
};

class Search {
 public:
  Search(const Trace& trace, const PlanQuestion& question, const Equipment& equipment)
      : trace_(trace), question_(question), equipment_(equipment) {}

  Result<std::optional<PlannedCluster>> find() {
    const auto prefill = least([this](std::uint32_t nodes) { return serves(nodes, 1, /*prefill_only=*/true); });
    MC_RETURN_IF_ERROR(prefill.status());
    if (!*prefill) return std::optional<PlannedCluster>();
    const std::uint32_t enough = **prefill * 2;
    const auto decode = least([&](std::uint32_t nodes) { return serves(enough, nodes, /*prefill_only=*/false); });
    MC_RETURN_IF_ERROR(decode.status());
    if (!*decode) return std::optional<PlannedCluster>();
    return repair(**prefill, **decode);
  }

 private:
  [[nodiscard]] PlannedCluster cluster(std::uint32_t prefill, std::uint32_t decode) const {
    return {.prefill = prefill,
            .decode = decode,
            .memory_gb = equipment_.memory_gb,
            .ssd_gb = equipment_.ssd_gb,
            .link_gbps = equipment_.link_gbps,
            .report = {}};
  }

  Result<ClusterReport> run(std::uint32_t prefill, std::uint32_t decode, bool prefill_only) const {
    question_.progress(fmt::format("{:.0f} GB, {:.0f} GB of SSD, {:.0f} Gb/s: {} prefill and {} decode nodes",
                                   equipment_.memory_gb, equipment_.ssd_gb, equipment_.link_gbps, prefill, decode));
    ClusterConfig config;
    config.prefill = prefill;
    config.decode = decode;
    config.prefill_only = prefill_only;
    config.slo = question_.slo;
    config.speed = question_.speed;
    config.profile = question_.profile;
    config.link_gbps = equipment_.link_gbps;
    config.cache_blocks_per_node = std::max(std::uint64_t{1}, blocks_in(equipment_.memory_gb));
    config.ssd_blocks_per_node = blocks_in(equipment_.ssd_gb);
    config.ssd_gbps = question_.ssd_gbps;
    MC_ASSIGN_OR_RETURN(const ClusterResult result, run_cluster(trace_, config));
    return report_cluster(trace_, question_.slo, result);
  }

  [[nodiscard]] std::uint64_t blocks_in(double gigabytes) const {
    return static_cast<std::uint64_t>(gigabytes * kGigabyte /
                                      (question_.profile.kv_bytes_per_token * kTraceBlockTokens));
  }

  Result<bool> serves(std::uint32_t prefill, std::uint32_t decode, bool prefill_only) const {
    MC_ASSIGN_OR_RETURN(const ClusterReport report, run(prefill, decode, prefill_only));
    return report.effective_fraction >= question_.target;
  }

  /// The least number for which `good` holds, if one up to kPlanNodesMax does.
  template <typename Good>
  static Result<std::optional<std::uint32_t>> least(const Good& good) {
    std::uint32_t high = 1;
    for (;; high *= 2) {
      MC_ASSIGN_OR_RETURN(const bool enough, good(high));
      if (enough) break;
      if (high == kPlanNodesMax) return std::optional<std::uint32_t>();
    }
    std::uint32_t low = high / 2;  // not enough, or 0
    while (high - low > 1) {
      const std::uint32_t middle = (low + high) / 2;
      MC_ASSIGN_OR_RETURN(const bool enough, good(middle));
      (enough ? high : low) = middle;
    }
    return std::optional(high);
  }

  Result<std::optional<PlannedCluster>> repair(std::uint32_t prefill, std::uint32_t decode) const {
    PlannedCluster best = cluster(prefill, decode);
    MC_ASSIGN_OR_RETURN(best.report, run(prefill, decode, false));
    for (int i = 0; i < kRepairsMax && best.report.effective_fraction < question_.target; ++i) {
      PlannedCluster more_prefill = cluster(best.prefill + 1, best.decode);
      PlannedCluster more_decode = cluster(best.prefill, best.decode + 1);
      MC_ASSIGN_OR_RETURN(more_prefill.report, run(more_prefill.prefill, more_prefill.decode, false));
      MC_ASSIGN_OR_RETURN(more_decode.report, run(more_decode.prefill, more_decode.decode, false));
      const bool decode_helps = more_decode.report.effective_fraction > more_prefill.report.effective_fraction;
      best = decode_helps ? more_decode : more_prefill;
    }
    if (best.report.effective_fraction < question_.target) return std::optional<PlannedCluster>();
    return std::optional(best);
  }

  const Trace& trace_;
  const PlanQuestion& question_;
  Equipment equipment_;
};

std::vector<Equipment> all_of(const PlanQuestion& question) {
  std::vector<Equipment> all;
  for (const double memory_gb : question.memory_gb) {
    for (const double ssd_gb : question.ssd_gb) {
      for (const double link_gbps : question.link_gbps) {
        all.push_back({.memory_gb = memory_gb, .ssd_gb = ssd_gb, .link_gbps = link_gbps});
      }
    }
  }
  return all;
}

}  // namespace

Result<std::vector<PlannedCluster>> plan(const Trace& trace, const PlanQuestion& question) {
  if (!(question.target > 0 && question.target <= 1)) {
    return Status(Code::kInvalidArgument,
                  fmt::format("a share of requests is above 0 and at most 1, not {}", question.target));
  }
  const auto wrong = [](std::string_view what) { return Status(Code::kInvalidArgument, std::string(what)); };
  for (const Equipment& equipment : all_of(question)) {
    if (!(equipment.memory_gb > 0)) return wrong("memory for KVCache has to be above 0 GB");
    if (!(equipment.ssd_gb >= 0)) return wrong("SSDs cannot have less than 0 GB");
    if (!(equipment.link_gbps > 0)) return wrong("a network needs a rate above 0 Gb/s");
  }
  std::vector<PlannedCluster> clusters;
  for (const Equipment& equipment : all_of(question)) {
    MC_ASSIGN_OR_RETURN(const auto found, Search(trace, question, equipment).find());
    if (found) clusters.push_back(*found);
  }
  std::ranges::stable_sort(clusters, {}, [](const PlannedCluster& cluster) {
    return std::tuple(cluster.nodes(), cluster.memory_gb, cluster.ssd_gb, cluster.link_gbps);
  });
  return clusters;
}

}  // namespace mooncake::sim
