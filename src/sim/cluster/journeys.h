// Journeys: how far each request of a simulated run has come, between its events.
//
//   undecided -> prefill -> sending -> decode -> ended
//       ^           |          |          |
//       +-----------+----------+----------+   a node of its was lost: it is placed again
//
// A request that is placed again has the tokens that its user has got at the end of its prompt, and only the rest is
// generated. They have no block ids, so they are found in no cache, and neither is the prompt's own last block if it
// was partial: they fill it up, which makes it another.
//
// Pure; thread-compatible.
#pragma once

#include <algorithm>
#include <cstdint>
#include <set>
#include <span>
#include <vector>

#include "conductor/conductor.h"
#include "sim/cluster/cluster.h"
#include "sim/cluster/decode_batch.h"
#include "sim/cluster/prefill_node.h"

namespace mooncake::sim {

struct Journey {
  enum class Stage : std::uint8_t {
    kUndecided,  ///< it has not arrived, or no node could take it
    kPrefill,    ///< it waits or runs there
    kSending,    ///< its KVCache is on the way
    kDecode,     ///< it waits or runs there
    kEnded,
  };
  Stage stage = Stage::kUndecided;
  std::uint32_t attempts_lost = 0;
  /// Its own event that counts: the end of prefill, of sending, or of waiting for a node.
  Instant due = Instant::max();

  // Of this attempt:
  std::uint32_t prefill = 0;  ///< instance
  std::uint32_t decode = 0;   ///< instance, from 0
  std::uint32_t fetch_from = 0;
  Brought brought{};  ///< what it fetched is from node `fetch_from`
  std::uint32_t reuse_max = UINT32_MAX;
  std::uint32_t reused_blocks = 0;
  std::uint32_t answer_in_prompt = 0;  ///< tokens of the answer with which the prompt ends
  Instant fetched_at{};
  Instant read_at{};     ///< from the own node's SSDs
  Instant kv_sent_at{};  ///< to the decode instance, but for what prefill still computes
  Instant prefill_start{};

  /// When what is brought is there.
  [[nodiscard]] Instant ready_at() const { return std::max(fetched_at, read_at); }

  // What the user has got:
  std::uint32_t answer_tokens = 0;
  Instant last_token{};
  std::vector<Nanos> gaps{};  ///< while it is nowhere in decode, which keeps them otherwise
};

class Journeys {
 public:
  /// Both must outlive it.
  Journeys(const Trace& trace, const ClusterConfig& config);

  Journey& operator[](std::uint32_t request) { return journeys_[request]; }
  const Journey& operator[](std::uint32_t request) const { return journeys_[request]; }
  /// Whether an event at `at` that would end `stage` is the one that counts.
  [[nodiscard]] bool due(std::uint32_t request, Journey::Stage stage, Instant at) const {
    return journeys_[request].stage == stage && journeys_[request].due == at;
  }

  void arrive(std::uint32_t request);
  void end(std::uint32_t request);
  /// The answer has a token more: the one that prefill gives.
  void first_token(std::uint32_t request, Instant now);
  /// The request as it joins a batch, and as it comes out of one before its end.
  DecodeBatch::Member joins(std::uint32_t request);
  void give_up(DecodeBatch::GivenUp given_up);
  /// This attempt is lost: the next one begins with what the user has got.
  void lose_attempt(std::uint32_t request);

  [[nodiscard]] std::uint32_t prompt_tokens(std::uint32_t request) const {
    return trace_.requests[request].input_tokens + journeys_[request].answer_in_prompt;
  }
  /// What a cache may hold of the prompt.
  [[nodiscard]] std::span<const TraceBlock> blocks_of(std::uint32_t request) const;
  /// What the client's limit leaves, at least 1: never the true length. 0 without decode.
  [[nodiscard]] std::uint32_t answer_tokens_max(std::uint32_t request) const;
  /// Of this attempt's prompt, what prefill does not compute.
  [[nodiscard]] std::uint32_t reused_tokens(std::uint32_t request) const;
  [[nodiscard]] bool answered(std::uint32_t request) const;

  // With an mtbf, of those who have arrived and not ended, by number; O(those).
  [[nodiscard]] bool any_open() const { return !open_.empty(); }
  /// Whom the failure of a node hits: who waits or runs there, or whose KVCache is on its way from there or to there.
  [[nodiscard]] std::vector<std::uint32_t> lost_with(std::uint32_t node) const;
  /// Whose prefix is on its way from there.
  [[nodiscard]] std::vector<std::uint32_t> fetching_from(std::uint32_t node, Instant now) const;
  /// Who waits for a node.
  [[nodiscard]] std::vector<std::uint32_t> undecided() const;

 private:
  template <typename Predicate>
  [[nodiscard]] std::vector<std::uint32_t> open_where(const Predicate& predicate) const;

  const Trace& trace_;
  const ClusterConfig& config_;
  const std::uint32_t first_decode_node_;
  std::vector<Journey> journeys_;
  std::set<std::uint32_t> open_;  // without an mtbf nobody asks, and it stays empty
};

}  // namespace mooncake::sim
