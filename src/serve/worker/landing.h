// Landing: one request on a decode worker from its reservation until its KVCache is ready to be imported.
//
//   reserved -> [room] -> open: a segment that the prefill worker writes into
//     -> join: segment revoked -> drained -> checksums verified -> joined (the prefill worker is done)
//     -> recovery only: generated blocks fetched from the store -> ready
//
// The landing area is a segment of its own with its own generation, so that ending the reservation revokes it before
// the memory is used again: a late write meets kStale. The memory goes back when the last user has let go of it.
//
// Thread-compatible: one owner, the loop.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "conductor/conductor.h"
#include "serve/worker/prefix_fetch.h"
#include "serve/worker/worker_context.h"

namespace mooncake::serve {

/// A request whose KVCache is here, verified, and may be imported.
struct LandedRequest {
  conductor::RequestNumber number{};
  JoinCall call;
  std::vector<engine::Token> answer;  ///< what the client has or gets from prefill: the first token at least
  Arena::LeasePointer lease;
  std::vector<ConstByteSpan> blocks;  ///< in order from block 0, inside the lease
  std::uint32_t token_count = 0;      ///< that the blocks hold
  Deadline deadline{};
};

class Landing : public std::enable_shared_from_this<Landing> {
 public:
  struct Callbacks {
    std::function<void(LandedRequest)> ready;
    /// It is over: nobody but the prefill worker has been told, and that only if it waits. At most one of the two, and
    /// not inside a call of this class.
    std::function<void(Status)> failed;
  };
  Landing(const WorkerContext& context, conductor::RequestNumber number, ReserveCall call, transfer::PeerHandle prefill,
          Callbacks callbacks);
  /// Revokes the segment.
  ~Landing();

  /// Bytes of the landing area, room for the blocks of a recovery included.
  [[nodiscard]] std::uint64_t bytes() const;
  /// The schedule lets it land: takes memory and answers `responder` with the segment.
  void open();
  /// Answers the reservation later, when it is granted or has failed. Once.
  void set_responder(transfer::Responder responder);
  /// Everything has been written. Answers when it is verified.
  void join(JoinCall call, transfer::Responder responder);
  /// The reservation is over: answers whoever waits with `status`.
  void end(const Status& status);

  [[nodiscard]] const ReserveCall& call() const { return call_; }
  [[nodiscard]] transfer::PeerHandle prefill() const { return prefill_; }
  /// The prefill worker has handed over: its end does not matter any more.
  [[nodiscard]] bool joining() const { return join_.has_value(); }
  /// The prefill worker knows that the join worked.
  [[nodiscard]] bool acknowledged() const { return acknowledged_; }
  /// Answer tokens that exist; the next one's index.
  [[nodiscard]] std::uint32_t answered() const { return std::max(1u, call_.emitted_tokens); }

 private:
  void on_memory(Result<Arena::LeasePointer> lease);
  Status check_join(const JoinCall& call) const;
  void verify();
  void on_verified(bool intact);
  void fetch_generated();
  void finish(const FetchedPrefix& generated);
  void revoke(absl::AnyInvocable<void()> drained);
  void fail(const Status& status);
  /// Answer tokens known at the join.
  [[nodiscard]] std::vector<engine::Token> known_answer() const;

  const WorkerContext& context_;
  const conductor::RequestNumber number_;
  const ReserveCall call_;
  const transfer::PeerHandle prefill_;
  const Callbacks callbacks_;
  const Deadline deadline_;
  TimerId deadline_timer_{0};
  std::optional<transfer::Responder> responder_;  // of the reservation, then of the join
  Arena::Ticket ticket_ = 0;
  Arena::LeasePointer lease_;  // slots: blocks of the prompt, then fetched blocks
  std::optional<transfer::SegmentHandle> segment_;
  std::optional<JoinCall> join_;
  bool acknowledged_ = false;
  bool over_ = false;
};

/// Full blocks that hold generated tokens and whose KVCache a decode worker had complete when `answer_tokens` were out:
/// the last answer token has not been fed. The first of them is block prompt_tokens / block_tokens.
std::uint32_t generated_blocks(std::uint32_t prompt_tokens, std::uint32_t answer_tokens, std::uint32_t block_tokens);

}  // namespace mooncake::serve
