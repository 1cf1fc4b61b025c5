// The llama.cpp engine: GGUF models on the CPU, exact enough that it does not matter where a prefix was computed.
//
// What makes it exact (docs/adr/0005-exact-engine.md; asserted in llama_facts_test.cc against the pinned version):
// - one KVCache stream a sequence, F16, flash attention on: rows and logits do not depend on the other sequences;
// - items of several tokens are computed one by one, items of one token together. In one llama.cpp batch they would be
//   cut to equal lengths, and a chunk would lose its first token to a chunk of one;
// - a step of one token runs on one thread: with more, flash attention splits the keys among the threads, but only
//   while the sequence is alone in its batch;
// - a batch holds at most as many tokens as the suite compares with each alone.
//
// Memory: the weights, twice where llama.cpp repacks them; context_tokens * sequences_max rows of KVCache, touched as
// they are used; one buffer as large as the longest prefix imported so far.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "engine/engine.h"
#include "engine/llama/kv_tensors.h"
#include "engine/llama/llama_model.h"
#include "engine/llama/llama_tokenizer.h"
#include "engine/llama/state_codec.h"
#include "engine/sequence_table.h"

struct llama_batch;
struct llama_context;

namespace mooncake::engine::llama {

/// As make_engine, for kind "llama".
Result<std::unique_ptr<Engine>> make_llama_engine(const EngineConfig& config);
/// As load_model_front, for kind "llama".
Result<ModelFront> load_llama_front(const EngineConfig& config);

class LlamaEngine final : public Engine {
 public:
  ~LlamaEngine() override;

  const ModelInfo& model() const override { return info_; }
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
  void cancel() override { cancelled_ = true; }

  /// llama.cpp's own state of a sequence. For tests: the facts that this engine relies on.
  std::vector<std::byte> library_state(SequenceId sequence);

 private:
  friend Result<std::unique_ptr<Engine>> make_llama_engine(const EngineConfig& config);

  struct FreeContext {
    void operator()(llama_context* context) const;
  };
  struct FreeBatch {
    void operator()(llama_batch* batch) const;
  };

  LlamaEngine(ModelPointer model, ModelInfo info, StateCodec codec, const EngineConfig& config);
  Status start(const EngineConfig& config);
  Status check_assumptions();

  // Computes the named items in one call to llama.cpp and sets their outputs. False: cancelled, and all of them undone.
  bool decode(std::span<const WorkItem> items, std::span<const std::size_t> chosen, std::span<Output> outputs);
  void fill_batch(std::span<const WorkItem> items, std::span<const std::size_t> chosen);
  void forget(std::uint32_t slot, std::uint32_t position);  // in llama.cpp's memory

  const ModelPointer model_;
  const ModelInfo info_;
  const StateCodec codec_;
  const KvLayout layout_;
  const LlamaTokenizer tokenizer_;
  const std::uint32_t chunk_tokens_max_;
  SequenceTable table_;
  KvTensors tensors_;
  std::unique_ptr<std::byte[]> state_;  // where imports are assembled; kept: fresh pages cost more than the copy
  std::size_t state_bytes_ = 0;
  std::unique_ptr<llama_batch, FreeBatch> batch_;
  std::unique_ptr<llama_context, FreeContext> context_;
  std::atomic<bool> cancelled_{false};
};

}  // namespace mooncake::engine::llama
