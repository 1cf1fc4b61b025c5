#include "serve/worker/prefill_run.h"

#include <chrono>
#include <utility>

#include "base/crc32c.h"
#include "engine/sampler.h"

namespace mooncake::serve {
namespace {

/// Interruptions meant for others that one step survives. Each needs a cancel of another request in that very step.
constexpr int kInterruptionsMax = 64;

}  // namespace

PrefillRun::PrefillRun(std::vector<engine::Token> prompt, AnswerParams answer, ByteSpan memory, engine::KvLayout layout)
    : prompt_(std::move(prompt)), answer_(answer), memory_(memory), layout_(layout) {}

Status PrefillRun::begin(engine::Engine& engine, std::uint32_t import_tokens, std::uint32_t start) {
  CHECK(start <= import_tokens && import_tokens <= prompt_.size() && import_tokens % layout_.block_tokens == 0);
  length_ = 0;
  exported_ = 0;
  if (!sequence_) {
    MC_ASSIGN_OR_RETURN(sequence_, engine.open(static_cast<std::uint32_t>(prompt_.size())));
  }
  if (import_tokens == 0) return {};
  std::vector<ConstByteSpan> blocks;
  for (std::uint32_t i = 0; i < import_tokens / layout_.block_tokens; ++i) {
    blocks.push_back(memory_.subspan(i * layout_.block_bytes, layout_.block_bytes));
  }
  Status imported = engine.import_prefix(*sequence_, blocks, import_tokens);
  if (imported.ok() && start < import_tokens) imported = engine.truncate(*sequence_, start);
  if (!imported.ok()) {
    finish(engine);  // "the sequence is then empty", but a fresh one cannot be anything else
    MC_ASSIGN_OR_RETURN(sequence_, engine.open(static_cast<std::uint32_t>(prompt_.size())));
    return {Code::kCorrupt, imported.to_string()};
  }
  length_ = start;
  exported_ = start / layout_.block_tokens;
  return {};
}

Status PrefillRun::step(engine::Engine& engine, std::uint32_t count, std::vector<float>& logits) {
  const bool last = length_ + count == prompt_.size();
  const engine::WorkItem item{*sequence_, length_, std::span(prompt_).subspan(length_, count), last};
  for (int attempt = 0;; ++attempt) {
    if (abandoned_) return {Code::kCancelled, "the request was cancelled"};
    engine::Output output;
    const Status stepped = engine.step({&item, 1}, {&output, 1});
    const Status& status = stepped.ok() ? output.status : stepped;
    if (status.code() == Code::kCancelled && !abandoned_ && attempt < kInterruptionsMax) continue;
    MC_RETURN_IF_ERROR(status);
    logits = std::move(output.logits);
    length_ += count;
    return {};
  }
}

Status PrefillRun::export_blocks(engine::Engine& engine, ChunkResult& result) {
  const auto total = static_cast<std::uint32_t>(prompt_.size());
  const std::uint32_t end =
      length_ == total ? (total + layout_.block_tokens - 1) / layout_.block_tokens : length_ / layout_.block_tokens;
  result.first_block = exported_;
  for (; exported_ < end; ++exported_) {
    const ByteSpan target = memory_.subspan(exported_ * layout_.block_bytes, layout_.block_bytes);
    MC_RETURN_IF_ERROR(engine.export_block(*sequence_, exported_, target));
    result.block_crc32c.push_back(crc32c(target));
  }
  return {};
}

ChunkResult PrefillRun::compute(engine::Engine& engine, std::uint32_t count) {
  CHECK(sequence_ && length_ + count <= prompt_.size());
  const auto begin = std::chrono::steady_clock::now();
  ChunkResult result;
  std::vector<float> logits;
  result.status = step(engine, count, logits);
  if (result.status.ok()) result.status = export_blocks(engine, result);
  if (result.status.ok() && length_ == prompt_.size()) {
    result.first_token = engine::sample(logits, answer_.temperature, answer_.top_p, answer_.seed, answer_.choice, 0);
  }
  result.took = std::chrono::steady_clock::now() - begin;
  return result;
}

void PrefillRun::finish(engine::Engine& engine) {
  if (!sequence_) return;
  static_cast<void>(engine.close(*sequence_).ok());  // nothing is left to do about a sequence that will not close
  sequence_.reset();
}

}  // namespace mooncake::serve
