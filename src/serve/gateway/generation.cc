#include "serve/gateway/generation.h"

#include <algorithm>

#include "base/check.h"

namespace mooncake::serve {
namespace {

using conductor::Phase;
using conductor::Role;

enum class Failure : std::uint8_t { kFinal, kRefused, kUnreachable, kLost };

Failure failure_of(Code code) {
  switch (code) {
    case Code::kExhausted:
      return Failure::kRefused;
    case Code::kUnavailable:
      return Failure::kUnreachable;
    case Code::kPeerLost:
    case Code::kStale:
    case Code::kCorrupt:
    case Code::kCancelled:
    case Code::kNotFound:
    case Code::kInternal:
      return Failure::kLost;
    default:
      return Failure::kFinal;  // the deadline, or a request that no worker can serve
  }
}

Effect make(Effect::Kind kind) { return {.kind = kind, .status = {}}; }
Effect phase(Phase phase) { return {.kind = Effect::Kind::kPhase, .phase = phase, .status = {}}; }
Effect decide(Nanos delay) { return {.kind = Effect::Kind::kDecide, .delay = delay, .status = {}}; }

}  // namespace

Status client_status(const Status& worker) {
  switch (worker.code()) {
    case Code::kInvalidArgument:
    case Code::kUnsupported:
    case Code::kPermissionDenied:
    case Code::kAlreadyExists:
    case Code::kNotFound:
      return {Code::kInternal, "a worker refused the request: " + worker.to_string()};
    default:
      return worker;
  }
}

Generation::Generation(std::uint32_t tokens_max) : tokens_max_(tokens_max) { CHECK(tokens_max > 0); }

void Generation::start(Effects& out) {
  CHECK(state_ == State::kNew);
  state_ = State::kDeciding;
  out.push_back(decide({}));
}

void Generation::on_decided(Effects& out) {
  if (state_ != State::kDeciding) return;
  state_ = State::kRunning;
  ++attempt_;
  prefill_settled_ = prefill_ended_ = joined_ = false;
  early_.clear();
  out.push_back(make(Effect::Kind::kSubmit));
}

void Generation::on_undecided(Status why, Effects& out) {
  if (state_ == State::kDeciding) fail(std::move(why), out);
}

void Generation::on_prefill_reply(const Status& status, Effects& out) {
  if (state_ != State::kRunning || prefill_settled_) return;
  // What was handed over goes on without the prefill worker, as long as the first token, which it samples, has arrived.
  const bool goes_on = finish_.has_value() || (joined_ && !emitted_.empty());
  if (!status.ok() && !goes_on) return retry(status, out);
  if (status.ok()) note_join(out);
  settle_prefill(out);
  end_if_complete(out);
}

void Generation::on_worker_lost(Role role, Effects& out) {
  if (state_ != State::kRunning) return;
  if (role == Role::kPrefill) {
    on_prefill_reply(Status(Code::kPeerLost, "the prefill worker was lost"), out);
  } else if (!finish_.has_value() && tokens_max_ > 1) {  // the first token is the prefill worker's
    retry(Status(Code::kPeerLost, "the decode worker was lost"), out);
  }
}

void Generation::on_token(const TokenArrival& arrival, Effects& out) {
  if (state_ != State::kRunning || finish_.has_value()) return;
  if (arrival.kind == TokenArrival::Kind::kError) return retry(arrival.error, out);
  if (arrival.index == 0 && !prefill_ended_) {
    prefill_ended_ = true;
    out.push_back(phase(Phase::kPrefillEnd));
  }
  if (arrival.index > 0) note_join(out);
  const auto next = static_cast<std::uint32_t>(emitted_.size());
  if (arrival.index < next) {
    if (arrival.token != emitted_[arrival.index]) ++divergences_;
    return;
  }
  // The index of an end token may be tokens_max; nothing lies beyond that.
  if (arrival.index > tokens_max_) return;
  early_.emplace(arrival.index, arrival);
  while (!early_.empty() && early_.begin()->first == emitted_.size() && !finish_.has_value()) {
    const TokenArrival first = std::move(early_.begin()->second);
    early_.erase(early_.begin());
    accept(first, out);
  }
  end_if_complete(out);
}

// In order, once each.
void Generation::accept(const TokenArrival& arrival, Effects& out) {
  if (arrival.kind == TokenArrival::Kind::kEndToken) {
    finish_ = AnswerEnd::kStop;
    return;
  }
  emitted_.push_back(arrival.token);
  Effect show = make(Effect::Kind::kShow);
  show.token = arrival.token;
  out.push_back(std::move(show));
  if (arrival.kind == TokenArrival::Kind::kLastToken || emitted_.size() == tokens_max_) finish_ = AnswerEnd::kLength;
}

void Generation::stop(Effects& out) {
  if (state_ == State::kEnded) return;
  finish_ = AnswerEnd::kStop;
  if (state_ == State::kRunning) {
    end_if_complete(out);
  } else {
    // Between two attempts nothing holds the answer's blocks any more, so there is nothing to wait for.
    state_ = State::kEnded;
    out.push_back({.kind = Effect::Kind::kEnd, .end = AnswerEnd::kStop, .status = {}});
  }
}

void Generation::abandon(Status why, Effects& out) {
  if (state_ == State::kEnded) return;
  if (state_ == State::kRunning) {
    out.push_back(make(Effect::Kind::kCancelPrefill));
    out.push_back(make(Effect::Kind::kCancelDecode));
    out.push_back(phase(Phase::kAbort));
  }
  state_ = State::kEnded;
  const bool complete = finish_.has_value() && why.code() == Code::kDeadlineExceeded;
  out.push_back({.kind = Effect::Kind::kEnd,
                 .end = complete ? *finish_ : AnswerEnd::kFailed,
                 .status = complete ? Status() : std::move(why)});
}

void Generation::settle_prefill(Effects& out) {
  prefill_settled_ = true;
  if (prefill_ended_) return;
  prefill_ended_ = true;
  out.push_back(phase(Phase::kPrefillEnd));
}

void Generation::note_join(Effects& out) {
  if (joined_) return;
  joined_ = true;
  out.push_back(phase(Phase::kDecodeJoin));
}

void Generation::retry(const Status& why, Effects& out) {
  out.push_back(make(Effect::Kind::kCancelPrefill));
  out.push_back(make(Effect::Kind::kCancelDecode));
  out.push_back(phase(Phase::kAbort));
  state_ = State::kDeciding;
  switch (failure_of(why.code())) {
    case Failure::kFinal:
      return fail(client_status(why), out);
    case Failure::kRefused:
      if (++refusals_ > kRefusalsMax) return fail(why, out);
      return out.push_back(decide({}));
    case Failure::kUnreachable: {
      if (++unreachable_ > kUnreachableMax) return fail(why, out);
      const Nanos delay = kUnreachableDelayMin * (1u << std::min(unreachable_ - 1, 4u));
      return out.push_back(decide(std::min<Nanos>(delay, kUnreachableDelayMax)));
    }
    case Failure::kLost:
      if (++attempts_lost_ >= conductor::kAttemptsMax) return fail(client_status(why), out);
      return out.push_back(decide(kLostDelay));
  }
}

void Generation::fail(Status why, Effects& out) {
  state_ = State::kEnded;
  out.push_back({.kind = Effect::Kind::kEnd, .end = AnswerEnd::kFailed, .status = std::move(why)});
}

void Generation::end_if_complete(Effects& out) {
  if (!finish_.has_value() || !prefill_settled_) return;
  // The decode worker may be ahead of a stop string; where it is done already this is a no-op there.
  if (*finish_ == AnswerEnd::kStop && joined_) out.push_back(make(Effect::Kind::kCancelDecode));
  out.push_back(phase(Phase::kDecodeEnd));
  state_ = State::kEnded;
  out.push_back({.kind = Effect::Kind::kEnd, .end = *finish_, .status = {}});
}

}  // namespace mooncake::serve
