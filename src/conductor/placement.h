// Placement: what a prompt would cost on every prefill instance, and which one takes it; the same for decode.
//
// For a prefill instance i, TTFT(i) = transfer + queue + prefill(prompt, reused). Policies differ in how much is reused
// and in who is chosen:
//
//   cost-min    the cheapest of the whole cached prefix (transferring what i's node lacks), i's own part, and nothing;
//               least TTFT
//   algorithm1  the whole cached prefix if best / own prefix > threshold, else the own part; least TTFT
//   local       the own part, no transfer; least TTFT
//   least-time  as cost-min; the queue that is empty first
//   random, round-robin, least-outstanding: as cost-min; chosen without looking at times
//
// All ties break by lowest id. Pure and deterministic for a seed. Thread-compatible.
// Source: FAST'25, Algorithm 1; docs/conductor.md, placement.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/time.h"
#include "conductor/conductor.h"
#include "kvcache/chunk_plan.h"
#include "kvcache/cost_model.h"

namespace mooncake::conductor {

/// The prompt, and how much of it the whole cache holds.
struct PromptFacts {
  std::uint32_t prompt_tokens = 0;
  std::uint32_t block_tokens = 1;
  std::uint32_t best_blocks = 0;  ///< leading blocks that are somewhere in the cache; the last may be partial
  std::uint32_t computed_tokens_min = kvcache::kChunkTokensMin;
};

/// A prefill instance that could take it.
struct PrefillFacts {
  InstanceId instance{};
  std::uint32_t local_blocks = 0;       ///< leading blocks on its own node
  std::uint32_t local_ssd_blocks = 0;   ///< of them, those that are on its SSDs only
  Nanos ssd_backlog{};                  ///< before it can read them
  NodeId sender{};                      ///< the other node with the longest prefix
  Nanos sender_backlog{};               ///< before it can send anything
  std::uint32_t sender_ssd_blocks = 0;  ///< of the blocks beyond `local_blocks`, those on the sender's SSDs only
  Nanos sender_ssd_backlog{};
  Nanos queue{};
  std::uint32_t outstanding = 0;  ///< prompts that wait or run there
};

/// A decode instance that could take it.
struct DecodeFacts {
  InstanceId instance{};
  std::uint32_t requests = 0;       ///< running or promised
  std::uint64_t kv_tokens = 0;      ///< theirs, with their longest answers
  std::uint64_t prompt_tokens = 0;  ///< theirs
  std::uint32_t sequences_max = 1;
  std::uint64_t kv_tokens_max = 0;
};

/// Costs of one prefill candidate under `policy`.
Candidate evaluate_prefill(PlacementPolicy policy, double balancing_threshold, const PromptFacts& prompt,
                           const PrefillFacts& facts, const kvcache::CostModel& cost);

/// Chooses among prefill candidates: the part of a placement policy to replace first (docs/conductor.md, a policy of
/// your own). One belongs to one Conductor and is asked once a decision.
class PrefillChooser {
 public:
  virtual ~PrefillChooser() = default;

  /// Index into `candidates`, which are not empty and ascend by id; `outstanding`, prompts that wait or run there, goes
  /// with them. The same calls must give the same answers: draw from a seed, and ask no clock.
  virtual std::size_t choose(std::span<const Candidate> candidates, std::span<const std::uint32_t> outstanding) = 0;
};

/// The one of `policy`. `seed` is for random.
std::unique_ptr<PrefillChooser> make_prefill_chooser(PlacementPolicy policy, std::uint64_t seed);

/// What a decode instance could do for a request.
enum class DecodeFit : std::uint8_t {
  kFits,       ///< joins at once and keeps the objective
  kBreaksTbt,  ///< would slow everybody below the TBT objective
  kFull,       ///< has to wait until others end
  kNever,      ///< larger than the instance
};

struct DecodeChoice {
  std::size_t index = 0;  ///< into the facts
  DecodeFit fit = DecodeFit::kNever;
  Nanos tbt{};
};

/// What a decode instance needs to know of a request.
struct DecodeNeed {
  std::uint32_t prompt_tokens = 0;
  std::uint64_t kv_tokens = 0;  ///< with its longest answer
  Nanos tbt_objective{};
};

/// Predicted step time on one instance with the request added.
Nanos predicted_tbt(const DecodeFacts& facts, std::uint32_t prompt_tokens, const kvcache::CostModel& cost);

/// What the instance of `facts`, number `index`, could do for it.
DecodeChoice evaluate_decode(std::size_t index, const DecodeFacts& facts, const DecodeNeed& need,
                             const kvcache::CostModel& cost);

/// The least loaded instance (requests, then KVCache tokens, then id) of those that fit best. `facts` are not empty and
/// ascend by id.
DecodeChoice choose_decode(std::span<const DecodeFacts> facts, const DecodeNeed& need, const kvcache::CostModel& cost);

}  // namespace mooncake::conductor
