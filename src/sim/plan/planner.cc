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

class Search {
 public:
  Search(const Trace& trace, const PlanQuestion& question, double memory_gb, double link_gbps)
      : trace_(trace), question_(question), memory_gb_(memory_gb), link_gbps_(link_gbps) {}

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
    return {.prefill = prefill, .decode = decode, .memory_gb = memory_gb_, .link_gbps = link_gbps_, .report = {}};
  }

  Result<ClusterReport> run(std::uint32_t prefill, std::uint32_t decode, bool prefill_only) const {
    question_.progress(
        fmt::format("{:.0f} GB, {:.0f} Gb/s: {} prefill and {} decode nodes", memory_gb_, link_gbps_, prefill, decode));
    ClusterConfig config;
    config.prefill = prefill;
    config.decode = decode;
    config.prefill_only = prefill_only;
    config.slo = question_.slo;
    config.speed = question_.speed;
    config.profile = question_.profile;
    config.link_gbps = link_gbps_;
    config.cache_blocks_per_node = static_cast<std::uint64_t>(
        std::max(1.0, memory_gb_ * kGigabyte / (question_.profile.kv_bytes_per_token * kTraceBlockTokens)));
    MC_ASSIGN_OR_RETURN(const ClusterResult result, run_cluster(trace_, config));
    return report_cluster(trace_, question_.slo, result);
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
  double memory_gb_;
  double link_gbps_;
};

}  // namespace

Result<std::vector<PlannedCluster>> plan(const Trace& trace, const PlanQuestion& question) {
  if (!(question.target > 0 && question.target <= 1)) {
    return Status(Code::kInvalidArgument,
                  fmt::format("a share of requests is above 0 and at most 1, not {}", question.target));
  }
  std::vector<PlannedCluster> clusters;
  for (const double memory_gb : question.memory_gb) {
    if (!(memory_gb > 0)) return Status(Code::kInvalidArgument, "memory for KVCache has to be above 0 GB");
    for (const double link_gbps : question.link_gbps) {
      MC_ASSIGN_OR_RETURN(const auto found, Search(trace, question, memory_gb, link_gbps).find());
      if (found) clusters.push_back(*found);
    }
  }
  std::ranges::stable_sort(clusters, {}, [](const PlannedCluster& cluster) {
    return std::tuple(cluster.nodes(), cluster.memory_gb, cluster.link_gbps);
  });
  return clusters;
}

}  // namespace mooncake::sim
