#include "serve/gateway/generation.h"

#include <gtest/gtest.h>

#include <string>

#include "base/rng.h"

namespace mooncake::serve {
namespace {

using conductor::Phase;
using conductor::Role;
using Kind = TokenArrival::Kind;

// Effects as one line: "decide submit show:7 phase:prefill_end cancel_p cancel_d end:stop".
std::string line(const Effects& effects) {
  static const char* kPhases[] = {"prefill_start", "prefill_end", "decode_join", "decode_end", "abort"};
  std::string text;
  for (const Effect& effect : effects) {
    if (!text.empty()) text += ' ';
    switch (effect.kind) {
      case Effect::Kind::kDecide:
        text += "decide";
        break;
      case Effect::Kind::kSubmit:
        text += "submit";
        break;
      case Effect::Kind::kShow:
        text += "show:" + std::to_string(effect.token);
        break;
      case Effect::Kind::kPhase:
        text += std::string("phase:") + kPhases[static_cast<int>(effect.phase)];
        break;
      case Effect::Kind::kCancelPrefill:
        text += "cancel_p";
        break;
      case Effect::Kind::kCancelDecode:
        text += "cancel_d";
        break;
      case Effect::Kind::kEnd:
        text += effect.end == AnswerEnd::kStop     ? std::string("end:stop")
                : effect.end == AnswerEnd::kLength ? std::string("end:length")
                                                   : "end:" + std::string(code_name(effect.status.code()));
    }
  }
  return text;
}

struct Script {
  explicit Script(std::uint32_t tokens_max = 100) : generation(tokens_max) {
    step(&Generation::start);
    step(&Generation::on_decided);
  }
  template <typename... Params, typename... Args>
  std::string step(void (Generation::*event)(Params...), Args&&... args) {
    Effects effects;
    (generation.*event)(std::forward<Args>(args)..., effects);
    all.insert(all.end(), effects.begin(), effects.end());
    return line(effects);
  }
  std::string token(std::uint32_t index, engine::Token token, Kind kind = Kind::kToken) {
    return step(&Generation::on_token, TokenArrival{kind, index, token, {}});
  }
  std::string reply(Status status = {}) { return step(&Generation::on_prefill_reply, status); }
  std::string lost(Role role) { return step(&Generation::on_worker_lost, role); }
  std::string decided() { return step(&Generation::on_decided); }

  Generation generation;
  Effects all;
};

const Status kLost(Code::kPeerLost, "gone");

TEST(Generation, GoesFromDecisionOverTokensToItsEnd) {
  Script run;
  EXPECT_EQ(run.token(0, 10), "phase:prefill_end show:10");
  EXPECT_EQ(run.reply(), "phase:decode_join");
  EXPECT_EQ(run.token(1, 11), "show:11");
  EXPECT_EQ(run.token(2, 99, Kind::kEndToken), "cancel_d phase:decode_end end:stop") << "the end token is not shown";
  EXPECT_EQ(run.generation.emitted(), (std::vector<engine::Token>{10, 11}));
  EXPECT_TRUE(run.generation.ended());
}

TEST(Generation, AnswerEndsOnlyAfterThePromptIsPublished) {
  Script run;
  run.token(0, 10);
  EXPECT_EQ(run.token(1, 11, Kind::kLastToken), "phase:decode_join show:11") << "the last token is shown at once";
  EXPECT_FALSE(run.generation.ended());
  EXPECT_EQ(run.reply(), "phase:decode_end end:length");
}

TEST(Generation, OneTokenAnswersNeedNoDecode) {
  Script run(1);
  EXPECT_EQ(run.lost(Role::kDecode), "");
  EXPECT_EQ(run.token(0, 10, Kind::kLastToken), "phase:prefill_end show:10");
  EXPECT_EQ(run.reply(), "phase:decode_join phase:decode_end end:length");
}

TEST(Generation, TokensThatOvertakeWaitForTheirTurn) {
  Script run;
  EXPECT_EQ(run.token(2, 12), "phase:decode_join");
  EXPECT_EQ(run.token(1, 11), "");
  EXPECT_EQ(run.token(0, 10), "phase:prefill_end show:10 show:11 show:12");
}

TEST(Generation, RepeatedTokensAreDropped) {
  Script run;
  run.token(0, 10);
  EXPECT_EQ(run.token(0, 10), "");
  run.token(1, 11);
  EXPECT_EQ(run.token(1, 11), "");
  EXPECT_EQ(run.generation.divergences(), 0u);
  EXPECT_EQ(run.token(1, 77), "") << "what was shown stays";
  EXPECT_EQ(run.generation.divergences(), 1u);
}

TEST(Generation, IndicesBeyondTheLimitAreIgnored) {
  Script run(4);
  run.token(0, 10);
  EXPECT_EQ(run.token(5, 1), "phase:decode_join");
  EXPECT_EQ(run.token(4'000'000'000, 1), "");
  run.token(1, 11);
  run.token(2, 12);
  EXPECT_EQ(run.token(3, 13), "show:13") << "a worker that forgets to say so is past its limit too";
  EXPECT_EQ(run.reply(), "phase:decode_end end:length");
}

TEST(Generation, LostDecodeWorkerMovesTheStreamAndRepeatsNothing) {
  Script run;
  run.token(0, 10);
  run.reply();
  run.token(1, 11);
  EXPECT_EQ(run.lost(Role::kDecode), "cancel_p cancel_d phase:abort decide");
  EXPECT_EQ(run.token(2, 12), "") << "nothing is shown between attempts";
  EXPECT_EQ(run.decided(), "submit");
  EXPECT_EQ(run.generation.attempt(), 2u);
  EXPECT_EQ(run.token(0, 10), "phase:prefill_end") << "sampled again, dropped";
  EXPECT_EQ(run.token(2, 12), "phase:decode_join show:12");
  EXPECT_EQ(run.token(3, 13, Kind::kLastToken), "show:13");
  EXPECT_EQ(run.reply(), "phase:decode_end end:length");
  EXPECT_EQ(run.generation.emitted(), (std::vector<engine::Token>{10, 11, 12, 13}));
}

TEST(Generation, LostPrefillWorkerBeforeTheJoinIsRetried) {
  Script run;
  EXPECT_EQ(run.reply(kLost), "cancel_p cancel_d phase:abort decide");
  run.decided();
  EXPECT_EQ(run.token(0, 10), "phase:prefill_end show:10");
}

TEST(Generation, LostPrefillWorkerAfterTheJoinIsNotMissed) {
  Script run;
  run.token(0, 10);
  run.token(1, 11);
  EXPECT_EQ(run.lost(Role::kPrefill), "");
  EXPECT_EQ(run.reply(kLost), "") << "the call fails too";
  EXPECT_EQ(run.token(2, 12, Kind::kLastToken), "show:12 phase:decode_end end:length");
}

TEST(Generation, WithoutTheFirstTokenALostPrefillWorkerIsMissed) {
  Script run;
  run.token(1, 11);
  EXPECT_EQ(run.lost(Role::kPrefill), "cancel_p cancel_d phase:abort decide") << "only it could have sent token 0";
}

TEST(Generation, AllTokensThereAndPrefillLostIsACompleteAnswer) {
  Script run;
  run.token(0, 10);
  run.token(1, 99, Kind::kEndToken);
  EXPECT_EQ(run.lost(Role::kDecode), "") << "nothing more is wanted of it";
  EXPECT_EQ(run.lost(Role::kPrefill), "cancel_d phase:decode_end end:stop");
}

TEST(Generation, ARequestThatLosesTwoWorkersFails) {
  Script run;
  EXPECT_EQ(run.reply(kLost), "cancel_p cancel_d phase:abort decide");
  run.decided();
  EXPECT_EQ(run.reply(kLost), "cancel_p cancel_d phase:abort end:peer_lost");
}

TEST(Generation, WorkersThatWereNotReachedDoNotCount) {
  Script run;
  const Status unreachable(Code::kUnavailable, "connection refused");
  Nanos last{};
  for (std::uint32_t i = 0; i < kUnreachableMax; ++i) {
    EXPECT_EQ(run.reply(unreachable), "cancel_p cancel_d phase:abort decide");
    EXPECT_GE(run.all.back().delay, last) << "further and further apart";
    EXPECT_LE(run.all.back().delay, kUnreachableDelayMax);
    last = run.all.back().delay;
    run.decided();
  }
  EXPECT_EQ(run.reply(unreachable), "cancel_p cancel_d phase:abort end:unavailable") << "but there is an end to it";
}

TEST(Generation, RefusalsAreDecidedAgainTwice) {
  Script run;
  const Status refused(Code::kExhausted, "the queue is longer than you think");
  EXPECT_EQ(run.reply(refused), "cancel_p cancel_d phase:abort decide");
  run.decided();
  EXPECT_EQ(run.reply(refused), "cancel_p cancel_d phase:abort decide");
  run.decided();
  EXPECT_EQ(run.reply(refused), "cancel_p cancel_d phase:abort end:exhausted");
}

TEST(Generation, DeadlinesAndImpossibleRequestsAreFinal) {
  EXPECT_EQ(Script().reply(Status(Code::kDeadlineExceeded, "")), "cancel_p cancel_d phase:abort end:deadline_exceeded");
  EXPECT_EQ(Script().reply(Status(Code::kOutOfRange, "")), "cancel_p cancel_d phase:abort end:out_of_range");
  EXPECT_EQ(Script().reply(Status(Code::kInvalidArgument, "")), "cancel_p cancel_d phase:abort end:internal")
      << "our mistake, not the client's";
}

TEST(Generation, ErrorsOfADecodeWorkerAreRetried) {
  Script run;
  run.token(0, 10);
  run.reply();
  EXPECT_EQ(run.step(&Generation::on_token, TokenArrival{Kind::kError, 1, 0, Status(Code::kCorrupt, "block 3")}),
            "cancel_p cancel_d phase:abort decide");
}

TEST(Generation, AStopStringEndsTheAnswerOnceThePromptIsPublished) {
  Script run;
  run.token(0, 10);
  run.token(1, 11);
  EXPECT_EQ(run.step(&Generation::stop), "");
  EXPECT_EQ(run.token(2, 12), "") << "not part of the answer";
  EXPECT_EQ(run.lost(Role::kDecode), "") << "not needed any more";
  EXPECT_EQ(run.reply(), "cancel_d phase:decode_end end:stop");
}

TEST(Generation, AbandoningCancelsBothWorkers) {
  Script run;
  run.token(0, 10);
  EXPECT_EQ(run.step(&Generation::abandon, Status(Code::kCancelled, "client gone")),
            "cancel_p cancel_d phase:abort end:cancelled");
  EXPECT_EQ(run.token(1, 11), "");
  EXPECT_EQ(run.reply(), "");
}

TEST(Generation, AtTheDeadlineACompleteAnswerIsStillAnAnswer) {
  Script run;
  run.token(0, 10, Kind::kLastToken);
  EXPECT_EQ(run.step(&Generation::abandon, Status(Code::kDeadlineExceeded, "")),
            "cancel_p cancel_d phase:abort end:length");
}

TEST(Generation, WithoutAPlaceTheAnswerFails) {
  Generation generation(1);
  Effects effects;
  generation.start(effects);
  generation.on_undecided(Status(Code::kUnavailable, "no decode instance"), effects);
  EXPECT_EQ(line(effects), "decide end:unavailable");
}

// Any order of events from workers that come and go: tokens 0, 1, 2, ... are shown once each and in order, every
// booking is released exactly once, and nothing follows the end.
TEST(Generation, LawsHoldForRandomEvents) {
  for (std::uint64_t seed = 0; seed < 3000; ++seed) {
    Rng rng(seed);
    Script run(1 + static_cast<std::uint32_t>(rng.below(6)));
    for (int i = 0; i < 40; ++i) {
      const auto index = static_cast<std::uint32_t>(rng.below(7));
      switch (rng.below(9)) {
        case 0:
          run.reply();
          break;
        case 1:
          run.reply(Status(code_from_wire(1 + static_cast<std::uint32_t>(rng.below(14))), ""));
          break;
        case 2:
          run.lost(rng.below(2) == 0 ? Role::kPrefill : Role::kDecode);
          break;
        case 3:
          run.decided();
          break;
        case 4:
          if (rng.below(8) == 0) run.step(&Generation::stop);
          break;
        case 5:
          if (rng.below(8) == 0) run.token(index, 99, Kind::kEndToken);
          break;
        default:
          run.token(index, static_cast<engine::Token>(index));
          break;
      }
    }
    run.step(&Generation::abandon, Status(Code::kCancelled, ""));
    engine::Token next = 0;
    int submitted = 0;
    int released = 0;
    for (std::size_t i = 0; i < run.all.size(); ++i) {
      const Effect& effect = run.all[i];
      if (effect.kind == Effect::Kind::kShow) {
        ASSERT_EQ(effect.token, next++) << "seed " << seed;
      }
      submitted += effect.kind == Effect::Kind::kSubmit;
      released +=
          effect.kind == Effect::Kind::kPhase && (effect.phase == Phase::kAbort || effect.phase == Phase::kDecodeEnd);
      ASSERT_LE(released, submitted) << "seed " << seed;
      ASSERT_EQ(effect.kind == Effect::Kind::kEnd, i + 1 == run.all.size()) << "seed " << seed << ": " << line(run.all);
    }
    ASSERT_EQ(released, submitted) << "seed " << seed << ": " << line(run.all);
    ASSERT_EQ(run.generation.emitted().size(), static_cast<std::size_t>(next));
  }
}

}  // namespace
}  // namespace mooncake::serve
