#include "engine/simulated/simulated_engine.h"

#include <fmt/core.h>

#include <algorithm>
#include <cstring>

#include "engine/simulated/simulated_model.h"

namespace mooncake::engine::simulated {
namespace {

// Far enough from the chosen token that no temperature gives another one any weight: exp(-1e30 / t) is 0.
constexpr float kNeverLogit = -1e30f;

Status cancelled() { return Status(Code::kCancelled, "the step was cancelled"); }

}  // namespace

struct SimulatedEngine::Cache {
  std::vector<std::unique_ptr<std::byte[]>> blocks;
  std::vector<std::uint64_t> digests{kDigestSeed};

  std::byte* block_of(std::uint32_t position) {
    while (blocks.size() <= position / kBlockTokens) blocks.push_back(std::make_unique<std::byte[]>(kBlockBytes));
    return blocks[position / kBlockTokens].get();
  }

  // Forgets positions from `position` on; the unused rows of the last block become zero again.
  void truncate(std::uint32_t position) {
    digests.resize(std::size_t{position} + 1, kDigestSeed);
    blocks.resize((position + kBlockTokens - 1) / kBlockTokens);
    for (std::uint32_t at = position; at % kBlockTokens != 0; ++at) {
      for (std::uint32_t layer = 0; layer < kLayerCount; ++layer) {
        std::memset(blocks.back().get() + row_offset(at, layer), 0, kRowBytes);
      }
    }
  }

  void append(std::uint32_t position, Token token) {
    std::byte* const block = block_of(position);
    write_rows(block, position, digests.back(), token);
    digests.push_back(extend_digest(digests.back(), block, position));
  }
};

SimulatedEngine::SimulatedEngine(const EngineConfig& config, SimulatedTimes times)
    : model_(model_info(config.context_tokens)),
      layout_(kv_layout()),
      times_(times),
      chunk_tokens_max_(std::max(1u, config.chunk_tokens)),
      table_(std::max(1u, config.sequences_max), model_.context_tokens),
      caches_(std::max(1u, config.sequences_max)) {}

SimulatedEngine::~SimulatedEngine() = default;

Result<SequenceId> SimulatedEngine::open(std::uint32_t reserve_tokens) { return table_.open(reserve_tokens); }

Status SimulatedEngine::close(SequenceId sequence) {
  MC_RETURN_IF_ERROR(table_.close(sequence));
  caches_[sequence.index] = Cache();
  return {};
}

Status SimulatedEngine::truncate(SequenceId sequence, std::uint32_t position) {
  MC_RETURN_IF_ERROR(table_.truncate(sequence, position));
  caches_[sequence.index].truncate(position);
  return {};
}

Result<std::uint32_t> SimulatedEngine::length(SequenceId sequence) const {
  MC_ASSIGN_OR_RETURN(const SequenceTable::Slot* const slot, table_.find(sequence));
  return slot->length;
}

Status SimulatedEngine::import_prefix(SequenceId sequence, std::span<const ConstByteSpan> blocks,
                                      std::uint32_t token_count) {
  MC_RETURN_IF_ERROR(table_.check_import(sequence, blocks, token_count, layout_));
  Cache cache;
  for (std::uint32_t position = 0; position < token_count; ++position) {
    const ConstByteSpan source = blocks[position / kBlockTokens];
    std::byte* const block = cache.block_of(position);
    if (position % kBlockTokens == 0) std::memcpy(block, source.data(), kBlockBytes);
    if (!check_rows(block, position)) {
      return Status(Code::kCorrupt,
                    fmt::format("block {} does not hold rows of position {}", position / kBlockTokens, position));
    }
    cache.digests.push_back(extend_digest(cache.digests.back(), block, position));
  }
  cache.truncate(token_count);
  caches_[sequence.index] = std::move(cache);
  MC_ASSIGN_OR_RETURN(SequenceTable::Slot* const slot, table_.find(sequence));
  slot->length = token_count;
  return {};
}

Status SimulatedEngine::export_block(SequenceId sequence, std::uint32_t index, ByteSpan target) {
  MC_RETURN_IF_ERROR(table_.check_export(sequence, index, target, layout_));
  std::memcpy(target.data(), caches_[sequence.index].blocks[index].get(), kBlockBytes);
  return {};
}

Status SimulatedEngine::step(std::span<const WorkItem> items, std::span<Output> outputs) {
  if (items.size() != outputs.size()) return Status(Code::kInvalidArgument, "a step needs one output an item");
  const std::vector<Status> checks =
      table_.check_items(items, {.chunk_tokens_max = chunk_tokens_max_, .vocabulary_size = kVocabularySize});

  Nanos time{0};
  bool decodes = false;
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (!checks[i].ok()) continue;
    const auto count = static_cast<std::int64_t>(items[i].tokens.size());
    if (count == 1)
      decodes = true;
    else
      time += count * times_.prefill_per_token;
  }
  if (decodes) time += times_.decode_step;
  const bool in_time = wait(time);

  for (std::size_t i = 0; i < items.size(); ++i) {
    outputs[i] = Output{.status = checks[i], .logits = {}};
    if (!checks[i].ok()) continue;
    if (in_time)
      compute(items[i], outputs[i]);
    else
      outputs[i].status = cancelled();
  }
  return in_time ? Status() : cancelled();
}

void SimulatedEngine::compute(const WorkItem& item, Output& output) {
  Cache& cache = caches_[item.sequence.index];
  std::uint32_t position = item.position;
  for (const Token token : item.tokens) cache.append(position++, token);
  table_.find(item.sequence).value()->length = position;
  if (!item.want_logits) return;
  output.logits.assign(kVocabularySize, kNeverLogit);
  output.logits[static_cast<std::size_t>(next_token(cache.digests.back()))] = 0;
}

void SimulatedEngine::cancel() {
  const MutexLock lock(mutex_);
  cancelled_ = true;
  cancelled_changed_.notify_all();
}

bool SimulatedEngine::wait(Nanos time) {
  const Instant end = SteadyClock().now() + time;
  MutexLock lock(mutex_);
  while (!cancelled_ && cancelled_changed_.wait_until(mutex_, end)) {
  }
  const bool in_time = !cancelled_;
  cancelled_ = false;
  return in_time;
}

}  // namespace mooncake::engine::simulated
