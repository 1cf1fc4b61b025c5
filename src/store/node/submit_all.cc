#include "store/node/submit_all.h"

#include <algorithm>
#include <memory>
#include <span>
#include <utility>

namespace mooncake::store {

void submit_all(transfer::TransferEngine& engine, transfer::PeerHandle peer,
                const std::vector<transfer::TransferRequest>& requests, Deadline deadline,
                transfer::BatchCallback done) {
  if (requests.empty()) return done({});
  struct Join {
    std::size_t batches = 0;
    Status first;
    transfer::BatchCallback done;
  };
  const auto join = std::make_shared<Join>();  // shared by the batches' callbacks
  join->done = std::move(done);
  join->batches = (requests.size() + transfer::kBatchRequestsMax - 1) / transfer::kBatchRequestsMax;
  for (std::size_t at = 0; at < requests.size(); at += transfer::kBatchRequestsMax) {
    const std::size_t count = std::min(transfer::kBatchRequestsMax, requests.size() - at);
    engine.submit(peer, std::span(requests).subspan(at, count), deadline, std::nullopt, [join](Status status) {
      if (join->first.ok() && !status.ok()) join->first = std::move(status);
      if (--join->batches == 0) join->done(std::move(join->first));
    });
  }
}

}  // namespace mooncake::store
