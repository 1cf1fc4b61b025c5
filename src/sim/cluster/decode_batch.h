// DecodeBatch: a decode instance that runs a continuous batch. All members advance by one token a step; members join
// and leave between steps.
//
// While its members stay the same, steps take first, first + growth, first + 2 growth, ..., because a step is linear in
// the tokens of context and every member adds one. So nothing happens between changes: where the batch stands at an
// instant follows from the sum of the series, and a member's gaps between tokens are read from the stretches that it
// was part of.
//
// Pure; thread-compatible. Source: docs/simulator.md, decode.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

#include "base/time.h"
#include "kvcache/cost_model.h"

namespace mooncake::sim {

class DecodeBatch {
 public:
  struct Member {
    std::uint32_t request = 0;
    std::uint32_t steps = 1;    ///< tokens to come, at least 1; the batch looks at it only to notice the end
    std::uint64_t context = 0;  ///< tokens of KVCache, and the one to feed
    Instant previous_token{};   ///< when its last token came: the first gap begins there
    std::vector<Nanos> gaps{};  ///< those before, where it was earlier; they count in its TBT
  };
  struct Ended {
    std::uint32_t request = 0;
    Nanos tbt{};  ///< as judged: kvcache::request_tbt over all its gaps
  };

  /// A member that could not end here.
  struct GivenUp {
    std::uint32_t request = 0;
    std::uint32_t steps = 0;    ///< tokens that came from here
    Instant previous_token{};   ///< when its last token came
    std::vector<Nanos> gaps{};  ///< all until then, those before it joined included
  };

  /// Steps cost what `cost` says of `instance`; borrowed.
  DecodeBatch(const kvcache::CostModel& cost, std::uint32_t instance) : cost_(cost), instance_(instance) {}

  [[nodiscard]] std::size_t size() const { return members_.size(); }
  /// The first end of a step at or after `now`; `now` itself if nobody is here. `now` is not before the last advance().
  [[nodiscard]] Instant boundary(Instant now) const;
  /// The end of the step with which the next member ends; nothing if nobody is here.
  [[nodiscard]] std::optional<Instant> next_end() const;

  /// Goes on to `boundary`, which one of the two above has named. @return who has ended by then, who leaves.
  std::vector<Ended> advance(Instant boundary);
  /// Joins at the instant of the last advance() or the end of the last pause().
  void join(Member member);
  /// Everybody leaves, in the middle of a step: tokens whose step ends by `now` have come, and the step under way is
  /// lost. Nobody ends at or before `now`: advance() has been called for that.
  std::vector<GivenUp> give_up(Instant now);
  /// Nobody gets a token for so long from there on: the engine computes a prompt. It counts in the next gap of those
  /// who are here.
  void pause(Nanos duration);

 private:
  struct Stretch {  // of steps with the same members
    std::uint64_t first_step = 0;
    std::uint64_t steps = 0;
    Nanos first{};   // the first one takes this
    Nanos growth{};  // each takes so much longer than the one before
    Nanos pause{};   // before the first
  };
  struct Inside {
    Member member;
    std::uint64_t first_step = 0;
    Instant joined{};
    Nanos pause_before{};  // of the pause before its first step, what had passed when it joined
  };
  void take_steps(std::uint64_t steps);
  void restart(Instant now);
  [[nodiscard]] Nanos gap_of(std::uint64_t step, std::size_t& stretch) const;
  [[nodiscard]] std::vector<Nanos> gaps_of(const Inside& inside) const;
  void forget_old_stretches();

  const kvcache::CostModel& cost_;
  std::uint32_t instance_;
  std::vector<Inside> members_;
  std::uint64_t context_ = 0;  // of all members, at started_
  std::uint64_t step_ = 0;     // steps done at started_
  Instant started_{};          // of the present stretch
  Nanos first_{};
  Nanos growth_{};
  Nanos pause_{};             // just before started_
  std::deque<Stretch> past_;  // as long as a member was part of it
};

}  // namespace mooncake::sim
