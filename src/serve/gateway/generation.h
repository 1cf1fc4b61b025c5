// Generation: the life of one choice of one answer, from the decision where it runs to its last token, over as many
// workers as that takes. Pure: events in, effects out; no clock, no socket.
//
//            +--------- retry ----------+
//            v                          |
//   start -> deciding -> running -------+--> ended
//                        prefill call and token events, in any order
//
// Rules:
// - Tokens are shown in order of their index, once each. A stream that moved to other workers goes on where it was.
// - An answer ends when its last token is known *and* the prefill worker has answered, so that every full block of the
//   prompt can be found by then. If that worker is lost, the answer ends without waiting for what will not come.
// - A request that was taken on kAttemptsMax times and lost its worker each time fails: it may be what kills them.
//   A worker that was never reached has taken nothing on.
// Thread-compatible.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "base/status.h"
#include "base/time.h"
#include "conductor/conductor.h"
#include "conductor/later_attempts.h"
#include "engine/tokenizer.h"

namespace mooncake::serve {

/// Refusals by a worker whose real load was worse than the prediction, after which the client is told to come back.
inline constexpr std::uint32_t kRefusalsMax = 2;
/// Workers that could not be reached: 50 ms to 800 ms apart, 16 are about 10 s. By then membership knows better.
inline constexpr std::uint32_t kUnreachableMax = 16;
inline constexpr Millis kUnreachableDelayMin{50};
inline constexpr Millis kUnreachableDelayMax{800};
/// After a loss: long enough for the loss to be noted everywhere in this process, too short for a person to see.
inline constexpr Millis kLostDelay{5};

/// How an answer ended.
enum class AnswerEnd : std::uint8_t { kStop, kLength, kFailed };

/// One token event of a worker.
struct TokenArrival {
  enum class Kind : std::uint8_t { kToken, kEndToken, kLastToken, kError };
  Kind kind = Kind::kToken;  ///< kEndToken: the model ended its answer, not shown. kLastToken: shown, and the limit
  std::uint32_t index = 0;   ///< 0 is the first token of the answer
  engine::Token token = 0;
  Status error{};  ///< kError
};

/// What the owner of a generation has to do.
struct Effect {
  enum class Kind : std::uint8_t {
    kDecide,         ///< after `delay`: on_decided() or on_undecided()
    kSubmit,         ///< send the prefill request of the attempt, with emitted()
    kShow,           ///< `token` is part of the answer
    kPhase,          ///< tell the Conductor
    kCancelPrefill,  ///< the attempt's prefill worker may forget it
    kCancelDecode,   ///< the attempt's decode worker may forget it
    kEnd,            ///< last effect of all
  };
  Kind kind = Kind::kDecide;
  Nanos delay{};
  engine::Token token = 0;
  conductor::Phase phase = conductor::Phase::kAbort;
  AnswerEnd end = AnswerEnd::kFailed;
  Status status{};  ///< kEnd with kFailed: why
};
using Effects = std::vector<Effect>;

class Generation {
 public:
  /// An answer of at most `tokens_max` tokens, at least 1.
  explicit Generation(std::uint32_t tokens_max);

  /// Events append to `out`. Those that do not fit the state (late, repeated) are ignored. The owner passes events of
  /// the current attempt only.
  void start(Effects& out);
  void on_decided(Effects& out);
  /// No place could be found: the answer fails.
  void on_undecided(Status why, Effects& out);
  /// The prefill worker's answer: everything is published and handed over, or why not.
  void on_prefill_reply(const Status& status, Effects& out);
  void on_token(const TokenArrival& arrival, Effects& out);
  /// The connection to one of the attempt's workers ended.
  void on_worker_lost(conductor::Role role, Effects& out);
  /// The text is complete: a stop string was found. Tokens after it do not count.
  void stop(Effects& out);
  /// The deadline has passed, or the client has gone: `why` says which.
  void abandon(Status why, Effects& out);

  [[nodiscard]] bool running() const { return state_ == State::kRunning; }
  [[nodiscard]] bool ended() const { return state_ == State::kEnded; }
  /// Tokens of the answer so far, in order.
  [[nodiscard]] const std::vector<engine::Token>& emitted() const { return emitted_; }
  /// 1 for the first submission.
  [[nodiscard]] std::uint32_t attempt() const { return attempt_; }
  /// Repeated tokens that differed from the ones shown before: always 0 unless an engine is not deterministic.
  [[nodiscard]] std::uint32_t divergences() const { return divergences_; }

 private:
  enum class State : std::uint8_t { kNew, kDeciding, kRunning, kEnded };

  void settle_prefill(Effects& out);
  void accept(const TokenArrival& arrival, Effects& out);
  void note_join(Effects& out);
  void retry(const Status& why, Effects& out);
  void fail(Status why, Effects& out);
  void end_if_complete(Effects& out);

  const std::uint32_t tokens_max_;
  State state_ = State::kNew;
  std::uint32_t attempt_ = 0;
  std::uint32_t attempts_lost_ = 0;
  std::uint32_t refusals_ = 0;
  std::uint32_t unreachable_ = 0;
  std::uint32_t divergences_ = 0;
  std::vector<engine::Token> emitted_;
  std::map<std::uint32_t, TokenArrival> early_;  ///< tokens that overtook others; at most tokens_max of them
  std::optional<AnswerEnd> finish_;              ///< known once the last token is
  // Of the current attempt:
  bool prefill_settled_ = false;  ///< the prefill worker answered, or is lost after it had handed over
  bool prefill_ended_ = false;    ///< its computing is over
  bool joined_ = false;           ///< the decode worker has it
};

/// A worker's failure as the client should see it: what only a bug of ours can cause is not the client's fault.
Status client_status(const Status& worker);

}  // namespace mooncake::serve
