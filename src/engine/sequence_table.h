// SequenceTable: which sequences of an engine are open, how long they are, and how much room each has booked. What
// every engine must check the same way before it touches its own memory is checked here.
//
// Slots are numbered densely: open() takes the lowest free one, so that a batch of few sequences has neighbouring
// slots, which llama.cpp computes together. Pure; thread-compatible.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/status.h"
#include "engine/engine.h"

namespace mooncake::engine {

class SequenceTable {
 public:
  struct Slot {
    std::uint32_t generation = 0;
    bool open = false;
    std::uint32_t length = 0;    ///< tokens held
    std::uint32_t reserved = 0;  ///< tokens it may hold
  };

  /// What one work item may be.
  struct ItemLimits {
    std::uint32_t chunk_tokens_max = 0;
    std::uint32_t vocabulary_size = 0;
  };

  SequenceTable(std::uint32_t sequences_max, std::uint32_t context_tokens);

  /// As Engine::open.
  Result<SequenceId> open(std::uint32_t reserve_tokens);
  /// As Engine::close.
  Status close(SequenceId sequence);

  /// The open sequence's slot, whose index is sequence.index. @return kStale if it is not open.
  [[nodiscard]] Result<Slot*> find(SequenceId sequence);
  [[nodiscard]] Result<const Slot*> find(SequenceId sequence) const;

  /// As Engine::truncate, except that the engine's own memory is untouched.
  Status truncate(SequenceId sequence, std::uint32_t position);

  /// Whether Engine::import_prefix may begin. `blocks` are all of `block_bytes`.
  [[nodiscard]] Status check_import(SequenceId sequence, std::span<const ConstByteSpan> blocks,
                                    std::uint32_t token_count, const KvLayout& layout) const;
  /// Whether Engine::export_block may begin.
  [[nodiscard]] Status check_export(SequenceId sequence, std::uint32_t block, ByteSpan target,
                                    const KvLayout& layout) const;
  /// Whether each item may be computed; one Status an item. A sequence's second item in one step is refused.
  [[nodiscard]] std::vector<Status> check_items(std::span<const WorkItem> items, const ItemLimits& limits) const;

  [[nodiscard]] Capacity capacity() const;

 private:
  [[nodiscard]] Status check_item(const WorkItem& item, const ItemLimits& limits) const;

  std::uint32_t context_tokens_;
  std::vector<Slot> slots_;
};

}  // namespace mooncake::engine
