// Engine: the one interface between Mooncake and whatever computes a language model.
//
// An engine is an actor with one owner thread: every member except cancel() is called on it. It holds sequences (a run
// of tokens with their KVCache), computes batches of work items in step(), and gives and takes KVCache in blocks of
// KvLayout::block_tokens tokens. All engines pass the suite in engine/conformance_test.cc: bytes, holes, order, cancel,
// capacity, corrupt blocks.
//
// Exactness: a sequence's KVCache bytes and outputs depend on its own tokens and on how they were cut into chunks below
// 64 tokens, never on other sequences, on the step they share, or on whether a prefix was computed or imported.
// Source: docs/adr/0005-exact-engine.md.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/key128.h"
#include "base/status.h"
#include "base/time.h"
#include "engine/tokenizer.h"

namespace mooncake::engine {

/// Names one open sequence of one engine. Generation-checked: a closed sequence's id is refused (kStale).
struct SequenceId {
  std::uint32_t index = 0;
  std::uint32_t generation = 0;
  auto operator<=>(const SequenceId&) const = default;
};

struct ModelInfo {
  std::string id;                    ///< what /v1/models lists and requests name: "simulated", "smollm2-135m-instruct"
  std::uint32_t context_tokens = 0;  ///< prompt plus answer of one sequence
};

/// What KVCache blocks of this model look like. Constant after load.
struct KvLayout {
  Key128 model;  ///< hash of weights, hyper-parameters, rope, KV type, layer range and codec version
  std::uint32_t block_tokens = 64;
  std::uint32_t layer_count = 0;
  std::uint64_t block_bytes = 0;  ///< of every block, also of a partial one (whose unused rows are zero)
};

/// Work for one sequence in one step: `tokens` go to positions [position, position + size).
struct WorkItem {
  SequenceId sequence;
  std::uint32_t position = 0;  ///< must equal the sequence's length
  std::span<const Token> tokens;
  bool want_logits = false;  ///< of the last token
};

struct Output {
  Status status;              ///< of this item; others may have succeeded
  std::vector<float> logits;  ///< vocabulary_size() values if asked for and ok, else empty
};

struct Capacity {
  std::uint32_t sequences_max = 0;
  std::uint32_t sequences_open = 0;
  std::uint64_t tokens_max = 0;  ///< KVCache tokens over all sequences
  std::uint64_t tokens_reserved = 0;
};

class Engine {
 public:
  virtual ~Engine() = default;

  [[nodiscard]] virtual const ModelInfo& model() const = 0;
  [[nodiscard]] virtual const KvLayout& layout() const = 0;
  [[nodiscard]] virtual const Tokenizer& tokenizer() const = 0;

  /// An empty sequence with room for `reserve_tokens`. @return kExhausted at capacity, kOutOfRange beyond the context.
  virtual Result<SequenceId> open(std::uint32_t reserve_tokens) = 0;
  /// Frees the sequence. kStale if it is not open.
  virtual Status close(SequenceId sequence) = 0;
  /// Forgets everything from `position` on. kOutOfRange if the sequence is shorter.
  virtual Status truncate(SequenceId sequence, std::uint32_t position) = 0;
  /// Tokens in the sequence.
  virtual Result<std::uint32_t> length(SequenceId sequence) const = 0;

  /// Fills an empty sequence, once, with the first `token_count` tokens' KVCache. `blocks` are consecutive from block
  /// 0, ceil(token_count / block_tokens) of them; the last may be partial. The caller has verified their checksums.
  /// @return kCorrupt if the bytes cannot be this model's blocks, kInvalidArgument for a wrong count or size or a
  /// sequence that is not empty; the sequence is then empty.
  virtual Status import_prefix(SequenceId sequence, std::span<const ConstByteSpan> blocks,
                               std::uint32_t token_count) = 0;

  /// Writes block `index` of the sequence to `target`, block_bytes long: whole, or partial with zeroed unused rows.
  /// @return kOutOfRange if the sequence holds no token of it.
  virtual Status export_block(SequenceId sequence, std::uint32_t index, ByteSpan target) = 0;

  /// Computes all items, each at most once a sequence. Outputs has as many entries as items. A failed item leaves its
  /// sequence at its old length; one beyond what open() reserved fails with kOutOfRange. @return kCancelled if cancel()
  /// came, with the items' statuses saying which are undone.
  virtual Status step(std::span<const WorkItem> items, std::span<Output> outputs) = 0;

  /// Tokens that one prefill item may hold at most.
  [[nodiscard]] virtual std::uint32_t chunk_tokens_max() const = 0;
  [[nodiscard]] virtual Capacity capacity() const = 0;

  /// Makes the current step, or else the next one, end early with kCancelled. From any thread.
  virtual void cancel() = 0;
};

/// Which engine to make, and how.
struct EngineConfig {
  std::string kind = "llama";  ///< "llama" or "simulated"
  std::string model_path;      ///< GGUF file; llama only
  std::uint32_t threads = 1;
  std::uint32_t sequences_max = 1;
  std::uint32_t context_tokens = 0;  ///< 0: the model's own
  std::uint32_t chunk_tokens = 512;  ///< longest prefill item
};

/// Loads the engine. @return kNotFound for a missing file, kCorrupt or kUnsupported for one that is no usable model,
/// kInvalidArgument for an unknown kind; the message says what to do.
Result<std::unique_ptr<Engine>> make_engine(const EngineConfig& config);

/// Only the tokenizer and the facts of the same model, without weights: for the gateway.
struct ModelFront {
  ModelInfo model;
  KvLayout layout;
  std::unique_ptr<Tokenizer> tokenizer;
};
Result<ModelFront> load_model_front(const EngineConfig& config);

}  // namespace mooncake::engine
