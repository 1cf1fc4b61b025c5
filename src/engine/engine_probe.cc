#include "engine/engine_probe.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>

#include "base/crc32c.h"
#include "base/rng.h"
#include "base/time.h"
#include "kvcache/chunk_plan.h"

namespace mooncake::engine {
namespace {

// Sequences that are closed however the measurement ends.
class Sequences {
 public:
  explicit Sequences(Engine& engine) : engine_(engine) {}
  ~Sequences() {
    for (const SequenceId id : ids_) (void)engine_.close(id);
  }
  Sequences(const Sequences&) = delete;
  Sequences& operator=(const Sequences&) = delete;

  Result<SequenceId> open(std::uint32_t reserve_tokens) {
    MC_ASSIGN_OR_RETURN(const SequenceId id, engine_.open(reserve_tokens));
    ids_.push_back(id);
    return id;
  }
  [[nodiscard]] std::span<const SequenceId> ids() const { return ids_; }

 private:
  Engine& engine_;
  std::vector<SequenceId> ids_;
};

Result<double> timed(const auto& work) {
  const SteadyClock clock;
  const Instant start = clock.now();
  MC_RETURN_IF_ERROR(work());
  return to_ms(clock.now() - start);
}

}  // namespace

Result<EngineProbe> EngineProbe::create(Engine& engine, std::uint32_t tokens) {
  Rng rng(1);
  std::vector<Token> prompt(tokens);
  for (Token& token : prompt) token = static_cast<Token>(rng.below(engine.tokenizer().vocabulary_size()));
  EngineProbe probe(engine, std::move(prompt));
  const KvLayout& layout = engine.layout();
  probe.blocks_.assign(tokens / layout.block_tokens, std::vector<std::byte>(layout.block_bytes));
  probe.checksums_.resize(probe.blocks_.size());
  Sequences sequences(engine);
  MC_ASSIGN_OR_RETURN(const SequenceId sequence, sequences.open(tokens));
  MC_RETURN_IF_ERROR(probe.compute(sequence, 0, tokens));
  return probe;
}

Status EngineProbe::check(const kvcache::CostSample& sample) const {
  const std::uint32_t block_tokens = engine_.layout().block_tokens;
  if (std::max({sample.length, sample.prefix, sample.context}) > prompt_.size()) {
    return {Code::kInvalidArgument, fmt::format("the probe was made for {} tokens", prompt_.size())};
  }
  if (sample.prefix % block_tokens != 0 || sample.context % block_tokens != 0) {
    return {Code::kInvalidArgument, fmt::format("prefixes and contexts are multiples of {} tokens", block_tokens)};
  }
  return {};
}

Result<double> EngineProbe::measure(const kvcache::CostSample& sample) {
  MC_RETURN_IF_ERROR(check(sample));
  switch (sample.kind) {
    case kvcache::CostKind::kPrefill:
      return measure_prefill(sample.length, sample.prefix);
    case kvcache::CostKind::kLoad:
      return measure_load(sample.prefix);
    case kvcache::CostKind::kStep:
      return measure_step(sample.batch, sample.context);
  }
  return Status(Code::kInvalidArgument, "no such kind of measurement");
}

Result<double> EngineProbe::measure_prefill(std::uint32_t length, std::uint32_t prefix) {
  Sequences sequences(engine_);
  MC_ASSIGN_OR_RETURN(const SequenceId sequence, sequences.open(length));
  if (prefix > 0) MC_RETURN_IF_ERROR(load(sequence, prefix));
  return timed([&] { return compute(sequence, prefix, length); });
}

Result<double> EngineProbe::measure_load(std::uint32_t prefix) {
  Sequences sequences(engine_);
  MC_ASSIGN_OR_RETURN(const SequenceId sequence, sequences.open(prefix));
  return timed([&] { return load(sequence, prefix); });
}

Result<double> EngineProbe::measure_step(std::uint32_t batch, std::uint32_t context) {
  Sequences sequences(engine_);
  for (std::uint32_t i = 0; i < batch; ++i) {
    MC_ASSIGN_OR_RETURN(const SequenceId sequence, sequences.open(context + 1));
    MC_RETURN_IF_ERROR(load(sequence, context));
  }
  MC_RETURN_IF_ERROR(step(sequences.ids(), context));  // the first touches memory that the others find warm
  std::array<double, kProbeSteps> times{};
  for (double& time : times) {
    for (const SequenceId id : sequences.ids()) MC_RETURN_IF_ERROR(engine_.truncate(id, context));
    MC_ASSIGN_OR_RETURN(time, timed([&] { return step(sequences.ids(), context); }));
  }
  std::ranges::nth_element(times, times.begin() + kProbeSteps / 2);
  return times[kProbeSteps / 2];
}

Status EngineProbe::load(SequenceId sequence, std::uint32_t tokens) {
  std::vector<ConstByteSpan> blocks;
  for (std::uint32_t i = 0; i < tokens / engine_.layout().block_tokens; ++i) {
    if (crc32c(blocks_[i]) != checksums_[i]) return {Code::kInternal, "the probe's blocks have changed"};
    blocks.emplace_back(blocks_[i]);
  }
  return engine_.import_prefix(sequence, blocks, tokens);
}

Status EngineProbe::compute(SequenceId sequence, std::uint32_t position, std::uint32_t length) {
  const KvLayout& layout = engine_.layout();
  const auto chunk_tokens = kvcache::chunk_tokens_for(engine_.chunk_tokens_max());
  std::uint32_t block = position / layout.block_tokens;
  for (const std::uint32_t chunk :
       kvcache::plan_chunks(length - position, 0, chunk_tokens, layout.block_tokens).chunks) {
    const WorkItem item{.sequence = sequence,
                        .position = position,
                        .tokens = std::span(prompt_).subspan(position, chunk),
                        .want_logits = position + chunk == length};
    Output output;
    MC_RETURN_IF_ERROR(engine_.step({&item, 1}, {&output, 1}));
    MC_RETURN_IF_ERROR(output.status);
    position += chunk;
    for (; (block + 1) * layout.block_tokens <= position; ++block) {
      MC_RETURN_IF_ERROR(engine_.export_block(sequence, block, blocks_[block]));
      checksums_[block] = crc32c(blocks_[block]);
    }
  }
  return {};
}

Status EngineProbe::step(std::span<const SequenceId> sequences, std::uint32_t context) {
  std::vector<WorkItem> items;
  std::vector<Output> outputs(sequences.size());
  for (const SequenceId id : sequences) {
    items.push_back({.sequence = id, .position = context, .tokens = std::span(prompt_).first(1), .want_logits = true});
  }
  MC_RETURN_IF_ERROR(engine_.step(items, outputs));
  for (const Output& output : outputs) MC_RETURN_IF_ERROR(output.status);
  return {};
}

}  // namespace mooncake::engine
