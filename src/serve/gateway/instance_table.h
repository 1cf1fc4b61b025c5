// InstanceTable: the workers that this gateway knows, and which of them live.
//
// Membership tells who exists; only the gateway's own connection tells who lives. So a worker is up from its first
// answer to kMethodStats until its connection breaks, it stays silent for kStatsMissesMax questions, or it says that it
// drains. A worker that is missing from the member list but answers stays up: a new master hears of its members one by
// one.
//
// An instance keeps its id over restarts, so that what was learned of its speed stays.
// Thread-compatible: belongs to the loop.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/executor.h"
#include "base/time.h"
#include "conductor/conductor.h"
#include "store/client/membership.h"
#include "transfer/transfer_engine.h"

namespace mooncake::serve {

/// A worker answers from its loop within milliseconds; a second without an answer is a stopped process or a lost link.
inline constexpr Seconds kStatsTimeout{1};
/// Silent this many times in a row: down. One slow second on a crowded machine is not.
inline constexpr std::uint32_t kStatsMissesMax = 3;

enum class InstanceState : std::uint8_t {
  kConnecting,  ///< a member that has not answered yet
  kUp,
  kDraining,  ///< finishes what it has
  kDown,      ///< a member that does not answer (any more)
  kForeign,   ///< serves another model
};
std::string_view instance_state_name(InstanceState state);

struct Instance {
  conductor::InstanceId id{};
  conductor::Role role = conductor::Role::kPrefill;
  conductor::NodeId node{};  ///< that its puts go to
  store::Member member;
  InstanceState state = InstanceState::kConnecting;
  conductor::InstanceStats stats;
  Instant stats_at{};
  std::uint64_t kv_tokens_max = 0;
};

class InstanceTable {
 public:
  struct Callbacks {
    std::function<void(const conductor::InstanceChange&)> changed;
    std::function<void(const conductor::InstanceStats&)> stats;
    /// Was up or draining and is no more. After `changed`.
    std::function<void(const Instance&)> lost;
  };

  /// `model`: hex fingerprint; workers of others are left alone. `engine` (whose executor is the loop) must outlive it.
  InstanceTable(std::string model, Nanos stats_period, transfer::TransferEngine& engine, Callbacks callbacks);
  ~InstanceTable();
  InstanceTable(const InstanceTable&) = delete;
  InstanceTable& operator=(const InstanceTable&) = delete;

  /// The member list of the master; roles other than prefill and decode are ignored.
  void on_members(const std::vector<store::Member>& members);
  void on_peer_lost(transfer::PeerHandle peer);
  /// Somebody could not reach it: asks for its stats now.
  void check(conductor::InstanceId id);

  /// Null if there never was one.
  [[nodiscard]] const Instance* find(std::string_view name) const;
  [[nodiscard]] const Instance* find(conductor::InstanceId id) const;
  /// "?" if unknown.
  [[nodiscard]] std::string name(conductor::InstanceId id) const;
  [[nodiscard]] std::uint32_t up_count(conductor::Role role) const;
  /// By name; those that left are not listed.
  [[nodiscard]] std::vector<const Instance*> list() const;
  /// The id of a store node's name, made at the first call.
  conductor::NodeId node_id(std::string_view name);
  [[nodiscard]] std::string node_name(conductor::NodeId id) const;

 private:
  struct Entry;

  void begin(Entry& entry, const store::Member& member);
  void schedule(Entry& entry, Nanos delay);
  void ask(Entry& entry);
  void on_stats(Entry& entry, Result<std::string> payload);
  void on_failure(Entry& entry, const Status& status);
  void set_state(Entry& entry, InstanceState state, std::uint32_t sequences_max = 1);
  void forget_if_gone(Entry& entry);

  const std::string model_;
  const Nanos stats_period_;
  transfer::TransferEngine& engine_;
  Executor& loop_;
  const Callbacks callbacks_;
  std::vector<std::unique_ptr<Entry>> entries_;  // by id
  std::map<std::string, Entry*, std::less<>> by_name_;
  std::map<std::string, conductor::NodeId, std::less<>> nodes_;
  std::vector<std::string> node_names_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // callbacks in flight hold it weakly
};

}  // namespace mooncake::serve
