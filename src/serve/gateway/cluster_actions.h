// ClusterActions: carries out what the Conductor wants of the cluster without being asked by a request.
//
// Of several gateways of one model only the leader does, so that they do not pull the same workers two ways: the one
// whose name comes first in the master's member list. Two that believe to lead for a moment do no harm: a worker that
// changes its role already hears the second in vain.
//
// Thread-compatible: belongs to the loop.
#pragma once

#include <memory>
#include <vector>

#include "base/executor.h"
#include "conductor/conductor.h"
#include "serve/gateway/instance_table.h"
#include "store/core/member.h"
#include "transfer/transfer_engine.h"

namespace mooncake::serve {

class ClusterActions {
 public:
  /// Asks `conductor` every kTickPeriod while this gateway, `self`, leads. All references must outlive it.
  ClusterActions(store::Member self, conductor::Conductor& conductor, InstanceTable& instances,
                 transfer::TransferEngine& engine);
  ~ClusterActions();
  ClusterActions(const ClusterActions&) = delete;
  ClusterActions& operator=(const ClusterActions&) = delete;

  /// The member list of the master.
  void on_members(const std::vector<store::Member>& members);
  [[nodiscard]] bool leads() const { return leads_; }

 private:
  void tick();
  void change_role(const conductor::Action& action);

  const store::Member self_;
  conductor::Conductor& conductor_;
  InstanceTable& instances_;
  transfer::TransferEngine& engine_;
  Executor& loop_;
  bool leads_ = false;
  TimerId timer_{};
  std::vector<conductor::Action> actions_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // answers in flight hold it weakly
};

}  // namespace mooncake::serve
