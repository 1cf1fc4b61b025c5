#include "engine/generate.h"

#include <fmt/core.h>

#include <algorithm>

#include "engine/sampler.h"
#include "kvcache/chunk_plan.h"

namespace mooncake::engine {
namespace {

// Closes its sequence however the computation ends.
class OpenSequence {
 public:
  OpenSequence(Engine& engine, SequenceId id) : engine_(engine), id_(id) {}
  ~OpenSequence() { (void)engine_.close(id_); }
  OpenSequence(const OpenSequence&) = delete;
  OpenSequence& operator=(const OpenSequence&) = delete;

  // Computes the next tokens; the logits of the last.
  Result<std::vector<float>> run(std::span<const Token> tokens) {
    const WorkItem item{.sequence = id_, .position = length_, .tokens = tokens, .want_logits = true};
    Output output;
    MC_RETURN_IF_ERROR(engine_.step({&item, 1}, {&output, 1}));
    MC_RETURN_IF_ERROR(output.status);
    length_ += static_cast<std::uint32_t>(tokens.size());
    return std::move(output.logits);
  }

  Status export_blocks(const std::function<void(std::uint32_t, ConstByteSpan)>& sink) {
    const KvLayout& layout = engine_.layout();
    std::vector<std::byte> block(layout.block_bytes);
    for (std::uint32_t index = 0; index * layout.block_tokens < length_; ++index) {
      MC_RETURN_IF_ERROR(engine_.export_block(id_, index, block));
      sink(index, block);
    }
    return {};
  }

 private:
  Engine& engine_;
  SequenceId id_;
  std::uint32_t length_ = 0;
};

Result<std::vector<float>> prefill(Engine& engine, OpenSequence& sequence, std::span<const Token> prompt) {
  const kvcache::ChunkPlan plan =
      kvcache::plan_chunks(static_cast<std::uint32_t>(prompt.size()), 0,
                           kvcache::chunk_tokens_for(engine.chunk_tokens_max()), engine.layout().block_tokens);
  std::vector<float> logits;
  for (const std::uint32_t chunk : plan.chunks) {
    MC_ASSIGN_OR_RETURN(logits, sequence.run(prompt.first(chunk)));
    prompt = prompt.subspan(chunk);
  }
  return logits;
}

}  // namespace

Result<Generated> generate(Engine& engine, const GenerateRequest& request, const GenerateSinks& sinks) {
  const std::uint32_t context = engine.model().context_tokens;
  if (request.prompt.empty()) return Status(Code::kInvalidArgument, "the prompt is empty");
  if (request.prompt.size() >= context) {
    return Status(Code::kOutOfRange,
                  fmt::format("a prompt of {} tokens leaves no room for an answer in a context of {}",
                              request.prompt.size(), context));
  }
  const auto prompt_tokens = static_cast<std::uint32_t>(request.prompt.size());
  const std::uint32_t tokens_max = std::min(request.tokens_max, context - prompt_tokens);
  MC_ASSIGN_OR_RETURN(const SequenceId id, engine.open(prompt_tokens + tokens_max));
  OpenSequence sequence(engine, id);

  Generated generated;
  const SteadyClock clock;
  const Instant start = clock.now();
  MC_ASSIGN_OR_RETURN(std::vector<float> logits, prefill(engine, sequence, request.prompt));
  const Instant prefilled = clock.now();
  generated.prefill = prefilled - start;
  if (sinks.block) MC_RETURN_IF_ERROR(sequence.export_blocks(sinks.block));

  for (std::uint32_t index = 0; index < tokens_max; ++index) {
    const Token token = sample(logits, request.temperature, request.top_p, request.seed, 0, index);
    generated.ended = !request.ignore_end && engine.tokenizer().is_end(token);
    if (generated.ended) break;
    generated.tokens.push_back(token);
    if (sinks.token) sinks.token(token);
    if (index + 1 < tokens_max) {
      MC_ASSIGN_OR_RETURN(logits, sequence.run({&token, 1}));
    }
  }
  generated.decode = clock.now() - prefilled;
  return generated;
}

}  // namespace mooncake::engine
