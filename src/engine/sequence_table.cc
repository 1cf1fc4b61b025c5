#include "engine/sequence_table.h"

#include <fmt/core.h>

#include <algorithm>

namespace mooncake::engine {

SequenceTable::SequenceTable(std::uint32_t sequences_max, std::uint32_t context_tokens)
    : context_tokens_(context_tokens), slots_(sequences_max) {}

Result<SequenceId> SequenceTable::open(std::uint32_t reserve_tokens) {
  if (reserve_tokens > context_tokens_) {
    return Status(Code::kOutOfRange,
                  fmt::format("{} tokens do not fit into the model's context of {}", reserve_tokens, context_tokens_));
  }
  const auto free = std::ranges::find(slots_, false, &Slot::open);
  if (free == slots_.end()) {
    return Status(Code::kExhausted, fmt::format("all {} sequences of this engine are in use", slots_.size()));
  }
  ++free->generation;
  free->open = true;
  free->length = 0;
  free->reserved = reserve_tokens;
  return SequenceId{static_cast<std::uint32_t>(free - slots_.begin()), free->generation};
}

Status SequenceTable::close(SequenceId sequence) {
  MC_ASSIGN_OR_RETURN(Slot* const slot, find(sequence));
  slot->open = false;
  return {};
}

Result<SequenceTable::Slot*> SequenceTable::find(SequenceId sequence) {
  MC_ASSIGN_OR_RETURN(const Slot* const slot, static_cast<const SequenceTable*>(this)->find(sequence));
  return const_cast<Slot*>(slot);
}

Result<const SequenceTable::Slot*> SequenceTable::find(SequenceId sequence) const {
  if (sequence.index >= slots_.size() || !slots_[sequence.index].open ||
      slots_[sequence.index].generation != sequence.generation) {
    return Status(Code::kStale, fmt::format("sequence {}.{} is not open", sequence.index, sequence.generation));
  }
  return &slots_[sequence.index];
}

Status SequenceTable::truncate(SequenceId sequence, std::uint32_t position) {
  MC_ASSIGN_OR_RETURN(Slot* const slot, find(sequence));
  if (position > slot->length) {
    return Status(Code::kOutOfRange, fmt::format("truncate to {} of {} tokens", position, slot->length));
  }
  slot->length = position;
  return {};
}

Status SequenceTable::check_import(SequenceId sequence, std::span<const ConstByteSpan> blocks,
                                   std::uint32_t token_count, const KvLayout& layout) const {
  MC_ASSIGN_OR_RETURN(const Slot* const slot, find(sequence));
  if (slot->length != 0) {
    return Status(Code::kInvalidArgument,
                  fmt::format("a prefix is imported into an empty sequence; this one holds {} tokens", slot->length));
  }
  if (token_count > slot->reserved) {
    return Status(Code::kOutOfRange,
                  fmt::format("{} tokens to import, room for {} reserved", token_count, slot->reserved));
  }
  const std::uint64_t expected = (std::uint64_t{token_count} + layout.block_tokens - 1) / layout.block_tokens;
  if (token_count == 0 || blocks.size() != expected) {
    return Status(Code::kInvalidArgument,
                  fmt::format("{} tokens are {} blocks; {} came", token_count, expected, blocks.size()));
  }
  for (const ConstByteSpan block : blocks) {
    if (block.size() != layout.block_bytes) {
      return Status(Code::kInvalidArgument,
                    fmt::format("a block is {} bytes; {} came", layout.block_bytes, block.size()));
    }
  }
  return {};
}

Status SequenceTable::check_export(SequenceId sequence, std::uint32_t block, ByteSpan target,
                                   const KvLayout& layout) const {
  MC_ASSIGN_OR_RETURN(const Slot* const slot, find(sequence));
  if (target.size() != layout.block_bytes) {
    return Status(Code::kInvalidArgument,
                  fmt::format("a block is {} bytes; the target has {}", layout.block_bytes, target.size()));
  }
  if (std::uint64_t{block} * layout.block_tokens >= slot->length) {
    return Status(Code::kOutOfRange, fmt::format("block {} of a sequence of {} tokens", block, slot->length));
  }
  return {};
}

std::vector<Status> SequenceTable::check_items(std::span<const WorkItem> items, const ItemLimits& limits) const {
  std::vector<Status> statuses;
  std::vector<bool> taken(slots_.size());
  for (const WorkItem& item : items) {
    Status status = check_item(item, limits);
    if (status.ok() && taken[item.sequence.index]) {
      status = Status(Code::kInvalidArgument, "a sequence may appear once in a step");
    }
    if (status.ok()) taken[item.sequence.index] = true;
    statuses.push_back(std::move(status));
  }
  return statuses;
}

Status SequenceTable::check_item(const WorkItem& item, const ItemLimits& limits) const {
  MC_ASSIGN_OR_RETURN(const Slot* const slot, find(item.sequence));
  if (item.tokens.empty() || item.tokens.size() > limits.chunk_tokens_max) {
    return Status(Code::kInvalidArgument, fmt::format("an item has 1 to {} tokens; this one has {}",
                                                      limits.chunk_tokens_max, item.tokens.size()));
  }
  if (item.position != slot->length) {
    return Status(Code::kInvalidArgument,
                  fmt::format("position {} of a sequence of {} tokens", item.position, slot->length));
  }
  if (item.tokens.size() > slot->reserved - slot->length) {
    return Status(Code::kOutOfRange, fmt::format("{} tokens at position {}, room for {} reserved", item.tokens.size(),
                                                 item.position, slot->reserved));
  }
  const auto unknown = std::ranges::find_if(item.tokens, [&](Token token) {
    return token < 0 || static_cast<std::uint32_t>(token) >= limits.vocabulary_size;
  });
  if (unknown != item.tokens.end()) {
    return Status(Code::kInvalidArgument,
                  fmt::format("token {} is not in the vocabulary of {}", *unknown, limits.vocabulary_size));
  }
  return {};
}

Capacity SequenceTable::capacity() const {
  Capacity capacity;
  capacity.sequences_max = static_cast<std::uint32_t>(slots_.size());
  capacity.tokens_max = std::uint64_t{context_tokens_} * slots_.size();
  for (const Slot& slot : slots_) {
    if (!slot.open) continue;
    ++capacity.sequences_open;
    capacity.tokens_reserved += slot.reserved;
  }
  return capacity;
}

}  // namespace mooncake::engine
