// ClusterActions: carries out what the Conductor wants of the cluster without being asked by a request.
//
// Of several gateways of one model only the leader does, so that they do not pull the same workers two ways: the one
// whose name comes first in the master's member list.
//
// A worker that shall change its role gets nothing new of this gateway from then on, and is asked once nothing of this
// gateway is placed on it: a request may be booked on a decode worker that has not heard of it yet. What other gateways
// have placed there is finished if the worker has begun with it, and placed anew if not.
//
// Blocks are copied by a prefill worker of the node that shall have them.
//
// Thread-compatible: belongs to the loop.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/executor.h"
#include "conductor/conductor.h"
#include "serve/gateway/instance_table.h"
#include "store/core/member.h"
#include "transfer/transfer_engine.h"

namespace mooncake::serve {

class ClusterActions {
 public:
  /// References must outlive it.
  struct Parts {
    conductor::Conductor& conductor;
    InstanceTable& instances;
    transfer::TransferEngine& engine;
    std::function<bool(conductor::InstanceId)> in_use;  ///< whether a request of this gateway is placed there
  };

  /// Asks the Conductor every kTickPeriod while this gateway, `self`, leads.
  ClusterActions(store::Member self, Parts parts);
  ~ClusterActions();
  ClusterActions(const ClusterActions&) = delete;
  ClusterActions& operator=(const ClusterActions&) = delete;

  /// The member list of the master.
  void on_members(const std::vector<store::Member>& members);
  /// Whether this gateway is the first of its model in the last member list.
  [[nodiscard]] bool leads() const { return leads_; }

 private:
  /// A worker that gets nothing new and will be asked to change.
  struct Change {
    conductor::InstanceId instance{};
    conductor::Role role{};
    std::uint64_t epoch = 0;  // of the member it was decided for
  };

  void tick();
  void change_role(const conductor::Action& action);
  void replicate(const conductor::Action& action);
  /// @return true when there is nothing left to do for it.
  bool advance(const Change& change);
  void ask(const Instance& instance, conductor::Role role);
  void call(const Instance& instance, std::uint16_t method, std::string payload, Nanos timeout,
            std::function<void(const Status&)> answered);
  [[nodiscard]] Instant now() const { return loop_.clock().now(); }

  const store::Member self_;
  const Parts parts_;
  Executor& loop_;
  bool leads_ = false;
  TimerId timer_{};
  std::vector<conductor::Action> actions_;
  std::vector<Change> changes_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // answers in flight hold it weakly
};

}  // namespace mooncake::serve
