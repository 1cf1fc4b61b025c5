// PrefillWorker: answers kMethodPrefill, kMethodCancel and kMethodStats of a prefill worker.
//
// Prompts pass two gates, at each of which tenants take turns (conductor/local/fair_line.h): first for staging memory,
// then for the engine, which computes one prompt at a time (conductor/local/prefill_queue.h). Everything else about
// them overlaps. Whoever waits for the engine has its memory: the engine never waits for memory that is held by others
// who wait for the engine. A gateway's requests end with it.
//
// Thread-compatible: one owner, the loop.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
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

  void on_staged(conductor::RequestNumber number) override;
  void on_engine_free(conductor::RequestNumber number) override;
  void on_ended(conductor::RequestNumber number, const Status& status) override;
  void on_chunk(std::uint32_t tokens, Nanos took) override;

 private:
  Result<PrefillCall> accept(std::string_view payload) const;
  [[nodiscard]] Nanos predicted(const PrefillCall& call) const;
  void stage_next();
  void start_next();
  /// Predicted work that has no memory yet.
  [[nodiscard]] Nanos unstaged_work() const;
  [[nodiscard]] std::uint32_t unstaged() const {
    return static_cast<std::uint32_t>(unstaged_.size()) + (staging_ ? 1 : 0);
  }
  void update_gauges() const;
  void end_all(const std::function<bool(const PrefillJob&)>& which, const Status& status);

  const WorkerContext& context_;
  std::shared_ptr<TokenSender> tokens_;  // shared for its callbacks' weak references
  conductor::FairLine unstaged_;
  std::optional<conductor::FairLine::Piece> staging_;  // asks for memory; one at a time, so that turns count
  bool staging_others_ = false;                        // stage_next() runs
  conductor::PrefillQueue queue_;
  std::map<conductor::RequestNumber, std::shared_ptr<PrefillJob>> jobs_;  // shared likewise
  std::unordered_map<RequestId, conductor::RequestNumber> numbers_;
  std::uint64_t next_number_ = 1;
  double ms_per_token_ = 0;  // of recent chunks; 0: none yet
  bool draining_ = false;
};

}  // namespace mooncake::serve
