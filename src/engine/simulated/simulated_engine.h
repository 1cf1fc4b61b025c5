// The simulated engine: the whole of the Engine contract without a model. It stores real bytes, so that a wrong,
// missing, stale or misplaced block changes the answer (simulated_model.h), and takes the time that a small model on a
// laptop would take, so that schedulers have something to schedule. The waiting ends at once when cancel() comes.
//
// Memory: 256 bytes a token that was computed or imported; nothing for context that is not used.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/mutex.h"
#include "base/time.h"
#include "engine/engine.h"
#include "engine/sequence_table.h"
#include "engine/simulated/simulated_tokenizer.h"

namespace mooncake::engine::simulated {

/// How long things take. The default is the cost profile "laptop" of kvcache/cost_model.h.
struct SimulatedTimes {
  Nanos prefill_per_token = Micros(20);
  Nanos decode_step = Millis(2);  ///< once a step with any item of one token
};

class SimulatedEngine final : public Engine {
 public:
  SimulatedEngine(const EngineConfig& config, SimulatedTimes times);
  ~SimulatedEngine() override;

  const ModelInfo& model() const override { return model_; }
  const KvLayout& layout() const override { return layout_; }
  const Tokenizer& tokenizer() const override { return tokenizer_; }
  Result<SequenceId> open(std::uint32_t reserve_tokens) override;
  Status close(SequenceId sequence) override;
  Status truncate(SequenceId sequence, std::uint32_t position) override;
  Result<std::uint32_t> length(SequenceId sequence) const override;
  Status import_prefix(SequenceId sequence, std::span<const ConstByteSpan> blocks, std::uint32_t token_count) override;
  Status export_block(SequenceId sequence, std::uint32_t index, ByteSpan target) override;
  Status step(std::span<const WorkItem> items, std::span<Output> outputs) override;
  std::uint32_t chunk_tokens_max() const override { return chunk_tokens_max_; }
  Capacity capacity() const override { return table_.capacity(); }
  void cancel() override;

 private:
  // The KVCache of one slot: blocks of kBlockBytes, and the digest before each position and after the last.
  struct Cache;

  bool wait(Nanos time);  // false: cancelled
  void compute(const WorkItem& item, Output& output);

  const ModelInfo model_;
  const KvLayout layout_;
  const SimulatedTokenizer tokenizer_;
  const SimulatedTimes times_;
  const std::uint32_t chunk_tokens_max_;
  SequenceTable table_;
  std::vector<Cache> caches_;  // by slot

  Mutex mutex_;
  CondVar cancelled_changed_;
  bool cancelled_ GUARDED_BY(mutex_) = false;
};

}  // namespace mooncake::engine::simulated
