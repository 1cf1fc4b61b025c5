// ClusterRun: one run of a simulated cluster: what happens at each event, between the parts that know how.
//
//   Journeys          how far each request is          NodeRoles     which instances are up
//   PrefillNode       a queue, a cache, a link         NodeCopies    blocks on their way without a request
//   DecodeInstances   batches                          NodeFailures  when nodes fail and come back
//
// cluster.cc has the way of a request; cluster_failures.cc what happens to it when a node fails. Thread-compatible.
#pragma once

#include <absl/container/flat_hash_map.h>

#include <algorithm>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/rng.h"
#include "base/time.h"
#include "conductor/conductor.h"
#include "kvcache/cost_model.h"
#include "sim/cluster/cluster.h"
#include "sim/cluster/cluster_parts.h"
#include "sim/cluster/decode_instances.h"
#include "sim/cluster/event_queue.h"
#include "sim/cluster/journeys.h"
#include "sim/cluster/node_copies.h"
#include "sim/cluster/node_failures.h"
#include "sim/cluster/node_roles.h"
#include "sim/cluster/prefill_node.h"

namespace mooncake::sim {

class ClusterRun {
 public:
  /// All of them must outlive it.
  ClusterRun(const Trace& trace, const ClusterConfig& config, const DecisionSink& sink)
      : trace_(trace),
        config_(config),
        sink_(sink),
        truth_(kvcache::make_cost_model(config.profile)),
        failures_(config),
        loss_(config.seed),
        journeys_(trace, config) {}

  /// To be called before run(). @return kInvalidArgument for an eviction policy that there is not.
  Status prepare();
  /// Serves the whole trace, once.
  ClusterResult run();

 private:
  void happen(const Event& event);
  void tick();
  void carry_out(const conductor::Action& action);
  void arrive(std::uint32_t request);
  void decide(std::uint32_t request);
  void place(std::uint32_t request, const conductor::Decision& decision);
  void fetch(std::uint32_t request, const conductor::Candidate& prefill);
  void read_ssd(std::uint32_t request, std::uint32_t blocks);
  void start_prefill(std::uint32_t instance);
  void end_prefill(std::uint32_t instance);
  void report_cache(std::vector<conductor::CacheEvent> message);
  void tell_conductor(std::vector<conductor::CacheEvent> message);
  void note_first_token(std::uint32_t request);
  void land(std::uint32_t request);
  void step(std::uint32_t instance);
  void complete(std::uint32_t request, std::optional<Nanos> tbt);
  void end(std::uint32_t request, Outcome outcome);
  [[nodiscard]] bool nothing_is_left() const;

  // cluster_failures.cc
  void wait_for_node(std::uint32_t request);
  void wake();
  void refuse(std::uint32_t request);
  void change(const NodeFailures::Change& node);
  void fail(std::uint32_t node);
  void take_back(std::uint32_t request);
  void lose_cache(std::uint32_t node);
  void bring_back_ssd(std::uint32_t node);

  [[nodiscard]] std::span<const TraceBlock> blocks_of(std::uint32_t request) const {
    return journeys_.blocks_of(request);
  }
  /// Nodes fail as long as somebody is served or comes.
  [[nodiscard]] Instant next_failure() const {
    return arrivals_left_ > 0 || journeys_.any_open() ? failures_.next() : Instant::max();
  }
  [[nodiscard]] bool somebody_has(TraceBlock block) const {
    return std::ranges::any_of(prefill_, [block](const PrefillNode& node) { return node.has(block); });
  }
  [[nodiscard]] conductor::InstanceId decode_id(std::uint32_t request) const {
    return conductor::InstanceId{static_cast<std::uint32_t>(prefill_.size()) + journeys_[request].decode};
  }
  [[nodiscard]] double bytes_of(std::uint32_t blocks) const {
    return config_.profile.kv_bytes_per_token * kTraceBlockTokens * blocks;
  }
  [[nodiscard]] static conductor::RequestNumber number(std::uint32_t request) {
    return conductor::RequestNumber{request};
  }
  [[nodiscard]] conductor::Tenant tenant_of(std::uint32_t request) const {
    return {.id = conductor::TenantId{trace_.requests[request].tenant}};
  }

  const Trace& trace_;
  const ClusterConfig& config_;
  const DecisionSink& sink_;
  const std::unique_ptr<kvcache::CostModel> truth_;  // what things take; never corrected
  std::unique_ptr<conductor::Conductor> conductor_;
  std::optional<NodeRoles> roles_;
  std::vector<PrefillNode> prefill_;
  NodeCopies copies_{config_, prefill_};
  EventQueue events_;
  DecodeInstances decode_{config_, *truth_, events_};
  NodeFailures failures_;
  absl::flat_hash_map<std::uint32_t, BlockCache> ssd_of_failed_;  // by node, while it is down
  std::deque<std::vector<conductor::CacheEvent>> messages_;       // on their way to the Conductor
  Rng loss_;
  std::vector<conductor::Action> actions_;
  std::size_t arrivals_left_ = 0;
  Instant now_{};
  bool somebody_waits_ = false;  // for an instance of a role of which none is up
  Journeys journeys_;
  ClusterResult result_;
};

}  // namespace mooncake::sim
