// EngineProbe: how long one engine takes for what workers ask of it: to prefill, to import a cached prefix, to decode.
//
// It computes one prompt when it is made and keeps the prompt's blocks, from which it fills sequences: a decode step
// over long contexts does not cost their prefill. Times are of the wall clock, so only as good as the machine is quiet.
#pragma once

#include <cstdint>
#include <vector>

#include "base/bytes.h"
#include "base/status.h"
#include "engine/engine.h"
#include "kvcache/cost_fit.h"

namespace mooncake::engine {

/// Decode steps behind one measurement, of which the median counts. Cheap, beside filling their sequences.
inline constexpr int kProbeSteps = 5;

/// From the engine's thread; the engine outlives it.
class EngineProbe {
 public:
  /// Computes a prompt of `tokens` tokens, a multiple of KvLayout::block_tokens. @return what the engine fails with.
  static Result<EngineProbe> create(Engine& engine, std::uint32_t tokens);

  /// Does what the sample describes, once, in sequences of its own, and returns how many milliseconds it took:
  /// - prefill: computing in a worker's chunks what comes after the prefix, exporting the new blocks and their
  ///   checksums. The prefix is imported before, and not counted.
  /// - load: verifying the checksums of the blocks, and importing them.
  /// - step: one token for each sequence, the median of kProbeSteps steps.
  /// @return kInvalidArgument for more tokens than create() computed, and for a prefix or context that is no multiple
  /// of a block; kExhausted for more sequences than the engine has room for; or what the engine fails with.
  Result<double> measure(const kvcache::CostSample& sample);

 private:
  EngineProbe(Engine& engine, std::vector<Token> prompt) : engine_(engine), prompt_(std::move(prompt)) {}

  Status check(const kvcache::CostSample& sample) const;
  Result<double> measure_prefill(std::uint32_t length, std::uint32_t prefix);
  Result<double> measure_load(std::uint32_t prefix);
  Result<double> measure_step(std::uint32_t batch, std::uint32_t context);
  Status load(SequenceId sequence, std::uint32_t tokens);
  Status compute(SequenceId sequence, std::uint32_t position, std::uint32_t length);
  Status step(std::span<const SequenceId> sequences, std::uint32_t context);

  Engine& engine_;
  std::vector<Token> prompt_;
  std::vector<std::vector<std::byte>> blocks_;  // of the prompt, as it was last computed
  std::vector<std::uint32_t> checksums_;        // of the blocks
};

}  // namespace mooncake::engine
