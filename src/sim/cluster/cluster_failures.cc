// What a failure does to a run. The rules are the gateway's (docs/serving.md, when a worker dies).
#include <utility>

#include "base/check.h"
#include "conductor/later_attempts.h"
#include "sim/cluster/cluster_run.h"

namespace mooncake::sim {

using conductor::InstanceId;
using Stage = Journey::Stage;

// No instance of a role is up. Who was admitted before waits for one; others only where nobody is refused for being
// late.
void ClusterRun::wait_for_node(std::uint32_t request) {
  Journey& journey = journeys_[request];
  const bool admitted = journey.attempts_lost > 0;
  if (!admitted && config_.admission != conductor::AdmissionPolicy::kNone) return refuse(request);
  journey.due = now_ + conductor::kCapacityWait;
  events_.push({journey.due, EventKind::kWaitEnd, request});
  somebody_waits_ = true;
}

// A node may have come back, or have taken the role that was missing.
void ClusterRun::wake() {
  if (!somebody_waits_ || !roles_->complete()) return;
  somebody_waits_ = false;
  for (const std::uint32_t request : journeys_.undecided()) decide(request);
}

void ClusterRun::refuse(std::uint32_t request) {
  end(request, journeys_[request].attempts_lost > 0 ? Outcome::kFailed : Outcome::kRejected);
}

void ClusterRun::change(const NodeFailures::Change& node) {
  if (node.fails) return fail(node.node);
  if (node.node < prefill_.size()) bring_back_ssd(node.node);
  roles_->repair(node.node, now_);
}

// Who was there, or whose KVCache was on its way from there or to there, is placed again; a prefix on its way from
// there is computed. All of it is noticed at once.
void ClusterRun::fail(std::uint32_t node) {
  roles_->fail(node, now_);
  const std::vector<std::uint32_t> lost = journeys_.lost_with(node);
  std::vector<std::uint32_t> prefills;  // that may begin with another prompt
  if (const std::uint32_t first = instance_slots(config_).first_decode_node; node >= first) {
    for (DecodeBatch::GivenUp& given_up : decode_.fail(node - first, now_)) journeys_.give_up(std::move(given_up));
  }
  for (const std::uint32_t request : lost) {
    if (journeys_[request].stage == Stage::kPrefill) prefills.push_back(journeys_[request].prefill);
    take_back(request);
  }
  for (const std::uint32_t request : journeys_.fetching_from(node, now_)) {
    Journey& journey = journeys_[request];
    journey.brought.fetched_to = journey.brought.fetched_from;
    journey.fetched_at = now_;
    prefills.push_back(journey.prefill);
  }
  if (node < prefill_.size()) lose_cache(node);
  for (const std::uint32_t instance : prefills) start_prefill(instance);
  for (const std::uint32_t request : lost) {
    if (journeys_[request].attempts_lost < conductor::kAttemptsMax) {
      decide(request);
    } else {
      end(request, Outcome::kFailed);
    }
  }
}

// Out of the queue of its prefill instance, wherever that is, and out of everybody's books.
void ClusterRun::take_back(std::uint32_t request) {
  const Journey& journey = journeys_[request];
  if (journey.stage == Stage::kPrefill) {
    CHECK(prefill_[journey.prefill].queue.remove(number(request)));
    roles_->done(InstanceId{journey.prefill}, now_);
  }
  conductor_->on_phase(number(request), conductor::Phase::kAbort, now_);
  roles_->done(decode_id(request), now_);
  journeys_.lose_attempt(request);
}

// Of a prefill node, or one that has been one. What it has said before it failed is not heard any more. What is on its
// SSDs is out of reach until it is back.
void ClusterRun::lose_cache(std::uint32_t node) {
  const conductor::NodeId id{node};
  auto empty = make_prefill_node(config_, node);
  CHECK(empty.ok());  // as it was when the run began
  if (auto ssd = prefill_[node].take_ssd()) ssd_of_failed_.emplace(node, std::move(*ssd));
  prefill_[node] = std::move(*empty);
  copies_.lose(node);
  for (auto& message : messages_) {
    std::erase_if(message, [id](const conductor::CacheEvent& event) { return event.node == id; });
  }
  const conductor::CacheEvent cleared{.kind = conductor::CacheEvent::Kind::kCleared, .node = id};
  conductor_->on_cache({&cleared, 1}, now_);
}

void ClusterRun::bring_back_ssd(std::uint32_t node) {
  auto kept = ssd_of_failed_.extract(node);
  if (kept.empty()) return;
  auto with_ssd = make_prefill_node(config_, node, std::move(kept.mapped()));
  CHECK(with_ssd.ok());
  prefill_[node] = std::move(*with_ssd);
  tell_conductor(prefill_[node].found_on_ssd());  // a whole list, which is asked for until it is there
}

}  // namespace mooncake::sim
