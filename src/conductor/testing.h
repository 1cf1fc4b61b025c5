// For tests of this layer: a cost model simple enough for arithmetic in the head, and shorthand for ids and keys.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "base/rng.h"
#include "conductor/conductor.h"
#include "kvcache/cost_model.h"

namespace mooncake::conductor::testing {

/// Prefill 1 ms a token that is not cached, a transfer 0.1 ms a token, a step 1 ms a sequence and 1 us a context token.
/// Corrections are remembered, not applied.
class PlainCosts final : public kvcache::CostModel {
 public:
  explicit PlainCosts(Nanos transfer_per_token = Micros(100)) : transfer_per_token_(transfer_per_token) {}

  [[nodiscard]] Nanos prefill(std::uint32_t, std::uint32_t length, std::uint32_t prefix) const override {
    return Millis(length - std::min(prefix, length));
  }
  [[nodiscard]] Nanos tbt(std::uint32_t, std::uint32_t batch, std::uint64_t context_tokens) const override {
    return Millis(batch) + Micros(context_tokens);
  }
  [[nodiscard]] Nanos transfer(std::uint32_t tokens, bool same_node) const override {
    return same_node ? Nanos{0} : transfer_per_token_ * tokens;
  }
  [[nodiscard]] Nanos read_ssd(std::uint32_t tokens) const override { return Micros(50) * tokens; }
  void observe_prefill(std::uint32_t instance, Nanos predicted, Nanos actual) override {
    prefills.push_back({instance, predicted, actual});
  }
  void observe_step(std::uint32_t instance, Nanos predicted, Nanos actual) override {
    steps.push_back({instance, predicted, actual});
  }

  struct Observation {
    std::uint32_t instance = 0;
    Nanos predicted{};
    Nanos actual{};
  };
  std::vector<Observation> prefills;
  std::vector<Observation> steps;

 private:
  Nanos transfer_per_token_;
};

/// `count` keys of a chain that nothing else shares unless `chain` is equal.
inline std::vector<Key128> make_keys(std::uint64_t chain, std::uint32_t count) {
  std::vector<Key128> keys;
  for (std::uint32_t i = 0; i < count; ++i) keys.push_back({splitmix64(chain), i});
  return keys;
}

inline InstanceChange up(std::uint32_t id, Role role, std::uint32_t node = 0, std::uint32_t sequences_max = 8,
                         std::uint64_t kv_tokens_max = 100'000) {
  return {.kind = InstanceChange::Kind::kUp,
          .id = InstanceId{id},
          .role = role,
          .name = (role == Role::kPrefill ? "prefill-" : "decode-") + std::to_string(id),
          .attached_node = NodeId{node},
          .sequences_max = sequences_max,
          .kv_tokens_max = kv_tokens_max};
}

}  // namespace mooncake::conductor::testing
