// PrefillJob: one request on a prefill worker, from arrival to the reply.
//
//   staging: memory -> fetch of the cached prefix               (while others compute)
//   turn:    reserve on decode | import -> chunk -> chunk -> first token
//                       each chunk's blocks -> landing area and store, while the next chunk computes
//   then:    join on decode; reply when it has joined and the puts have ended
//
// The job owns its parts; operations in flight hold only the memory they use, so that ending it is dropping it.
//
// Thread-compatible: one owner, the loop.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "conductor/conductor.h"
#include "kvcache/chunk_plan.h"
#include "serve/worker/handoff.h"
#include "serve/worker/prefill_run.h"
#include "serve/worker/prefix_fetch.h"
#include "serve/worker/publication.h"
#include "serve/worker/worker_context.h"

namespace mooncake::serve {

class PrefillJob : public std::enable_shared_from_this<PrefillJob> {
 public:
  /// What a job tells the worker that owns it.
  class Owner {
   public:
    virtual ~Owner() = default;
    /// The job has its memory and fetches; the engine may be given to it. Not if it ended for want of memory.
    virtual void on_staged(conductor::RequestNumber number) = 0;
    /// The engine is free for the next prompt.
    virtual void on_engine_free(conductor::RequestNumber number) = 0;
    /// The reply is out; the job may be dropped.
    virtual void on_ended(conductor::RequestNumber number, const Status& status) = 0;
    /// A chunk of `tokens` took `took`.
    virtual void on_chunk(std::uint32_t tokens, Nanos took) = 0;
  };

  PrefillJob(const WorkerContext& context, TokenSender& tokens, Owner& owner, conductor::RequestNumber number,
             PrefillCall call, transfer::PeerHandle gateway, transfer::Responder responder);
  ~PrefillJob();

  /// Sets its deadline. Once, first.
  void prepare();
  /// Takes staging memory, and fetches when it has it: on_staged(), inside this call or later. Once.
  void stage();
  /// The engine is this job's from now on, until on_engine_free().
  void start();
  /// Ends the request with an error, whatever it is doing. No-op when it has ended.
  void end(const Status& status);

  [[nodiscard]] const PrefillCall& call() const { return call_; }
  [[nodiscard]] conductor::RequestNumber number() const { return number_; }
  /// The gateway that asked, as its connection.
  [[nodiscard]] transfer::PeerHandle gateway() const { return gateway_; }

 private:
  enum class Phase : std::uint8_t { kPreparing, kReady, kComputing, kHandingOver, kEnded };

  void on_staged(Result<Arena::LeasePointer> lease);
  void on_fetched(FetchedPrefix prefix);
  void begin_when_ready();
  void reserve();
  void plan(std::uint32_t cached_tokens);
  void begin_run();
  void on_begun(const Status& status);
  void compute_next();
  void on_computed(std::uint32_t tokens, const ChunkResult& result);
  void publish_blocks(const ChunkResult& result);
  void on_first_token(engine::Token token);
  void hand_over(engine::Token first_token);
  void release_engine();
  void end_when_done();

  const WorkerContext& context_;
  TokenSender& tokens_;
  Owner& owner_;
  const conductor::RequestNumber number_;
  const PrefillCall call_;
  const transfer::PeerHandle gateway_;
  std::optional<transfer::Responder> responder_;
  const std::uint32_t prompt_tokens_;
  const Deadline deadline_;
  TimerId deadline_timer_{0};
  std::vector<store::ObjectKey> keys_;  // of the prompt's full blocks

  Phase phase_ = Phase::kPreparing;
  bool holds_engine_ = false;
  bool needs_decode_ = true;  // somebody must compute the second token
  bool joined_ = false;
  Arena::Ticket ticket_ = 0;
  Arena::LeasePointer lease_;  // slot i: block i of the prompt
  FetchedPrefix fetched_;      // leading blocks that came from the store
  std::vector<std::uint32_t> block_crc32c_;
  kvcache::ChunkPlan plan_;
  std::size_t next_chunk_ = 0;
  std::shared_ptr<PrefillRun> run_;   // shared with the engine thread
  std::shared_ptr<Handoff> handoff_;  // shared for its callbacks' weak references
  std::shared_ptr<Publication> publication_;

  Instant arrived_;
  Instant turn_{};      // its turn came
  Instant begun_{};     // ... and the prefix was there
  Instant computed_{};  // last chunk
  PrefillReport report_;
};

}  // namespace mooncake::serve
