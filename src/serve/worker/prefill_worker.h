// PrefillWorker: answers kMethodPrefill, kMethodCancel and kMethodStats of a prefill worker.
//
// Prompts are computed one at a time in order of arrival (conductor/local/prefill_queue.h); everything else about them
// overlaps. A gateway's requests end with it.
//
// Thread-compatible: one owner, the loop.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <unordered_map>

#include "conductor/local/prefill_queue.h"
#include "serve/worker/prefill_job.h"
#include "serve/worker/worker_context.h"

namespace mooncake::serve {

class PrefillWorker : public PrefillJob::Owner {
 public:
  explicit PrefillWorker(const WorkerContext& context);
  ~PrefillWorker() override;

  void prefill(transfer::PeerHandle from, std::string_view payload, transfer::Responder responder);
  /// Ends the request, if it is here.
  void cancel(const RequestId& id);
  void on_peer_lost(transfer::PeerHandle peer);
  [[nodiscard]] WorkerStats stats() const;
  /// New requests are refused from now on.
  void refuse_new() { draining_ = true; }
  /// Nothing is in work and all tokens are out.
  [[nodiscard]] bool idle() const { return jobs_.empty() && tokens_->idle(); }

  void on_engine_free(conductor::RequestNumber number) override;
  void on_ended(conductor::RequestNumber number, const Status& status) override;
  void on_chunk(std::uint32_t tokens, Nanos took) override;

 private:
  Result<PrefillCall> accept(std::string_view payload) const;
  [[nodiscard]] Nanos predicted(const PrefillCall& call) const;
  void start_next();
  void update_gauges() const;
  void end_all(const std::function<bool(const PrefillJob&)>& which, const Status& status);

  const WorkerContext& context_;
  std::shared_ptr<TokenSender> tokens_;  // shared for its callbacks' weak references
  conductor::PrefillQueue queue_;
  std::map<conductor::RequestNumber, std::shared_ptr<PrefillJob>> jobs_;  // shared likewise
  std::unordered_map<RequestId, conductor::RequestNumber> numbers_;
  std::uint64_t next_number_ = 1;
  double ms_per_token_ = 0;  // of recent chunks; 0: none yet
  bool draining_ = false;
};

}  // namespace mooncake::serve
