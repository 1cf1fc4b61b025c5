// DecodeBatch: the sequences that a decode worker extends together, one token each a step (continuous batching).
//
//   admitted -> importing -> running: step, step, ... -> finished, closed
//
// Requests join and leave between steps. A sequence that was recovered feeds the answer tokens that the client already
// has, one a step like any others (never as a chunk, which would give other bytes), and sends nothing until it passes
// them. Every block that a sequence completes is published at once.
//
// Thread-compatible: one owner, the loop; the engine thread sees only DecodeStep.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>

#include "conductor/conductor.h"
#include "serve/worker/decode_sequence.h"
#include "serve/worker/decode_step.h"
#include "serve/worker/landing.h"
#include "serve/worker/token_sender.h"
#include "serve/worker/worker_context.h"

namespace mooncake::serve {

/// Buffers for blocks on their way from the engine to the store, for each sequence of the batch: one that is being
/// published and one that has just been completed.
inline constexpr std::uint32_t kPublishBlocksPerSequence = 2;

class DecodeBatch : public std::enable_shared_from_this<DecodeBatch> {
 public:
  struct Callbacks {
    /// The landing area is not needed any more.
    std::function<void(conductor::RequestNumber)> imported;
    /// The sequence is over and its last event pushed; the engine's room for it is free. Not after remove().
    std::function<void(conductor::RequestNumber, const Status&)> ended;
  };
  /// `publish_arena` holds blocks on their way to the store.
  static std::shared_ptr<DecodeBatch> create(const WorkerContext& context, TokenSender& tokens,
                                             std::shared_ptr<Arena> publish_arena, Callbacks callbacks);
  ~DecodeBatch();

  /// Opens a sequence and imports. The caller has made sure that the engine has room.
  void add(LandedRequest request);
  /// Ends the sequence, telling nobody. No-op if it is not here.
  void remove(conductor::RequestNumber number);

  /// Running mean of recent steps; 0 when nothing runs.
  [[nodiscard]] double step_ms() const { return sequences_.empty() ? 0 : step_ms_; }
  /// Sequences, those being imported included.
  [[nodiscard]] std::size_t size() const { return sequences_.size(); }

 private:
  struct Entry {
    DecodeSequence sequence;
    std::optional<engine::SequenceId> engine_id;  // once imported
    TimerId deadline_timer{0};
    Instant joined{};
    bool stepped = false;
  };
  DecodeBatch(const WorkerContext& context, TokenSender& tokens, std::shared_ptr<Arena> publish_arena,
              Callbacks callbacks);
  void on_imported(conductor::RequestNumber number, const Result<engine::SequenceId>& opened);
  void step_when_idle();
  DecodeStep next_step();
  void on_stepped(DecodeStep& step);
  void on_item(DecodeStep::Item& item);
  /// Pushes the chosen token. @return how the answer ends with it.
  FinishReason emit(DecodeSequence& sequence, engine::Token token);
  void publish(DecodeSequence& sequence, DecodeStep::Item& item);
  void fail(conductor::RequestNumber number, const Status& status);
  void close(engine::SequenceId id);

  const WorkerContext& context_;
  TokenSender& tokens_;
  const std::shared_ptr<Arena> publish_arena_;  // shared: leases outlive the batch while puts end
  const Callbacks callbacks_;
  std::map<conductor::RequestNumber, Entry> sequences_;
  bool stepping_ = false;
  double step_ms_ = 0;
};

}  // namespace mooncake::serve
