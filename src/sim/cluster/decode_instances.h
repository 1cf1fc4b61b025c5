// DecodeInstances: the decode side of a simulated cluster. Requests whose KVCache has arrived wait until
// conductor::DecodeSchedule lets them in, join between steps, and leave with their last token, or with their instance
// when it fails.
//
// An instance has something to do only where its batch changes: it pushes an event there, and the latest it has asked
// for is the one that counts. Thread-compatible.
#pragma once

#include <cstdint>
#include <vector>

#include "sim/cluster/cluster_parts.h"
#include "sim/cluster/event_queue.h"

namespace mooncake::sim {

class DecodeInstances {
 public:
  /// All of them must outlive it; steps cost what `truth` says. Instances have numbers from 0.
  DecodeInstances(const ClusterConfig& config, const kvcache::CostModel& truth, EventQueue& events)
      : instances_(make_decode_instances(config, truth)), events_(events) {}

  /// The KVCache of a request has arrived, with room for `kv_tokens` to be kept for it while it runs.
  void land(std::uint32_t instance, DecodeBatch::Member member, std::uint64_t kv_tokens, Instant now);
  /// Whether this event is the one that its instance waits for.
  [[nodiscard]] bool awaits(const Event& event) const { return instances_[event.subject].next_step == event.at; }
  /// The end of a step that was awaited. @return who is done, and leaves. begin_step() has to follow.
  std::vector<DecodeBatch::Ended> end_step(std::uint32_t instance, Instant now);
  /// @return who joins for the next step.
  std::vector<std::uint32_t> begin_step(std::uint32_t instance);
  /// The instance loses everybody, who is returned with how far it had come there.
  std::vector<DecodeBatch::GivenUp> fail(std::uint32_t instance, Instant now);

  /// Nobody runs or waits anywhere, and no KVCache is held.
  [[nodiscard]] bool idle() const;

 private:
  void await_step(std::uint32_t instance, Instant at);

  std::vector<DecodeInstance> instances_;
  EventQueue& events_;
};

}  // namespace mooncake::sim
