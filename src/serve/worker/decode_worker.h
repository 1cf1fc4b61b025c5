// DecodeWorker: answers kMethodReserve, kMethodJoin, kMethodCancel and kMethodStats of a decode worker.
//
// Which request may land and which may join is decided by conductor/local/decode_schedule.h. A reservation ends with
// the prefill worker that made it, until that has joined; a joined request ends with its gateway.
//
// Thread-compatible: one owner, the loop.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string_view>
#include <unordered_map>

#include "conductor/local/decode_schedule.h"
#include "serve/worker/decode_batch.h"
#include "serve/worker/landing.h"
#include "serve/worker/worker_context.h"

namespace mooncake::serve {

class DecodeWorker {
 public:
  /// `publish_arena`: see DecodeBatch.
  DecodeWorker(const WorkerContext& context, std::shared_ptr<Arena> publish_arena);
  ~DecodeWorker();

  void reserve(transfer::PeerHandle from, std::string_view payload, transfer::Responder responder);
  void join(transfer::PeerHandle from, std::string_view payload, transfer::Responder responder);
  /// Forgets the request, if it is here. O(requests).
  void cancel(const RequestId& id);
  void on_peer_lost(transfer::PeerHandle peer);
  [[nodiscard]] WorkerStats stats() const;
  /// New reservations are refused from now on.
  void refuse_new() { draining_ = true; }
  /// Nothing is in work and all tokens are out.
  [[nodiscard]] bool idle() const { return requests_.empty() && tokens_->idle(); }

 private:
  /// A request is landing (then it may be waiting to join), or in the batch.
  struct Request {
    RequestId id;
    transfer::PeerName gateway;            // known from the join on
    std::shared_ptr<Landing> landing;      // shared for its callbacks' weak references
    std::optional<LandedRequest> waiting;  // for room in the batch
    TimerId waiting_timer{0};
  };

  Result<ReserveCall> accept(std::string_view payload) const;
  void on_ready(conductor::RequestNumber number, LandedRequest landed);
  void on_landing_failed(conductor::RequestNumber number, const Status& status);
  void advance();
  void forget(conductor::RequestNumber number, const Status& status);
  void forget_all(const std::function<bool(const Request&)>& which, const Status& status);
  void push_error(const Request& request, std::uint32_t index, const Status& status);
  void update_gauges() const;

  const WorkerContext& context_;
  std::shared_ptr<TokenSender> tokens_;  // shared for its callbacks' weak references
  conductor::DecodeSchedule schedule_;
  std::map<conductor::RequestNumber, Request> requests_;
  std::unordered_map<RequestId, conductor::RequestNumber> numbers_;
  std::shared_ptr<DecodeBatch> batch_;  // shared likewise
  std::uint64_t next_number_ = 1;
  bool draining_ = false;
  bool advancing_ = false;
};

}  // namespace mooncake::serve
