#include "engine/llama/llama_engine.h"

#include <fmt/core.h>
#include <llama.h>

#include <algorithm>
#include <cstring>

#include "base/log.h"
#include "engine/llama/gguf_file.h"
#include "engine/llama/llama_log.h"

namespace mooncake::engine::llama {
namespace {

// With other weights llama.cpp's matrix products depend on the size of the batch (docs/adr/0005-exact-engine.md).
bool has_exact_weights(const llama_model* model) {
  const llama_ftype type = llama_model_ftype(model);
  return type == LLAMA_FTYPE_MOSTLY_Q8_0 || type == LLAMA_FTYPE_MOSTLY_Q4_0;
}

// llama.cpp rounds a sequence's cells up to this; so do we, to hold what we promise.
constexpr std::uint32_t kContextGranularity = 256;
constexpr std::uint32_t kSequencesMax = 256;  // LLAMA_MAX_SEQ
// The largest batch that the conformance suite compares with each sequence alone. Larger ones would gain little: a
// model that fits a CPU is bound by computing at eight tokens already.
constexpr std::size_t kExactBatchMax = 8;

Status cancelled() { return Status(Code::kCancelled, "the step was cancelled"); }

KvLayout make_layout(const StateCodec& codec) {
  return {.model = codec.fingerprint(),
          .block_tokens = kBlockTokens,
          .layer_count = static_cast<std::uint32_t>(codec.layers().size()),
          .block_bytes = codec.block_bytes()};
}

Result<ModelInfo> make_info(const GgufFile& file, const EngineConfig& config) {
  if (config.context_tokens > file.context_tokens) {
    return Status(Code::kInvalidArgument, fmt::format("a context of {} tokens was asked for; {} was trained for {}",
                                                      config.context_tokens, file.id, file.context_tokens));
  }
  return ModelInfo{.id = file.id,
                   .context_tokens = config.context_tokens == 0 ? file.context_tokens : config.context_tokens};
}

llama_context_params context_params(const EngineConfig& config, std::uint32_t context_tokens,
                                    std::uint32_t batch_tokens) {
  const std::uint32_t cells = (context_tokens + kContextGranularity - 1) / kContextGranularity * kContextGranularity;
  llama_context_params params = llama_context_default_params();
  params.n_ctx = cells * config.sequences_max;
  params.n_batch = batch_tokens;
  params.n_ubatch = batch_tokens;
  params.n_seq_max = config.sequences_max;
  params.n_outputs_max = config.sequences_max;
  params.n_threads = 1;  // steps of one token; see the header
  params.n_threads_batch = static_cast<std::int32_t>(config.threads);
  params.flash_attn_type = LLAMA_FLASH_ATTN_TYPE_ENABLED;
  params.type_k = GGML_TYPE_F16;
  params.type_v = GGML_TYPE_F16;
  params.kv_unified = false;
  params.offload_kqv = false;
  params.no_perf = true;
  return params;
}

}  // namespace

void LlamaEngine::FreeContext::operator()(llama_context* context) const { llama_free(context); }

void LlamaEngine::FreeBatch::operator()(llama_batch* batch) const {
  llama_batch_free(*batch);
  delete batch;
}

Result<std::unique_ptr<Engine>> make_llama_engine(const EngineConfig& config) {
  if (config.sequences_max == 0 || config.sequences_max > kSequencesMax || config.threads == 0 ||
      config.chunk_tokens == 0) {
    return Status(
        Code::kInvalidArgument,
        fmt::format("an engine needs 1 to {} sequences, and at least one thread and one token a chunk", kSequencesMax));
  }
  MC_ASSIGN_OR_RETURN(GgufFile file, read_gguf(config.model_path));
  MC_ASSIGN_OR_RETURN(ModelInfo info, make_info(file, config));
  MC_ASSIGN_OR_RETURN(ModelPointer model, load_model(config.model_path, LoadWhat::kWeights));
  if (!has_exact_weights(model.get())) {
    log_warn("{} has weights in {}: answers may differ in a batch or after a recovery; Q8_0 and Q4_0 are exact",
             info.id, llama_ftype_name(llama_model_ftype(model.get())));
  }
  StateCodec codec(std::move(file.layers), file.content, config.sequences_max);
  std::unique_ptr<LlamaEngine> engine(new LlamaEngine(std::move(model), std::move(info), std::move(codec), config));
  MC_RETURN_IF_ERROR(engine->start(config));
  return std::unique_ptr<Engine>(std::move(engine));
}

Result<ModelFront> load_llama_front(const EngineConfig& config) {
  MC_ASSIGN_OR_RETURN(GgufFile file, read_gguf(config.model_path));
  MC_ASSIGN_OR_RETURN(ModelInfo info, make_info(file, config));
  MC_ASSIGN_OR_RETURN(ModelPointer model, load_model(config.model_path, LoadWhat::kVocabulary));
  const StateCodec codec(std::move(file.layers), file.content, 1);
  return ModelFront{.model = std::move(info),
                    .layout = make_layout(codec),
                    .tokenizer = std::make_unique<LlamaTokenizer>(std::move(model))};
}

LlamaEngine::LlamaEngine(ModelPointer model, ModelInfo info, StateCodec codec, const EngineConfig& config)
    : model_(std::move(model)),
      info_(std::move(info)),
      codec_(std::move(codec)),
      layout_(make_layout(codec_)),
      tokenizer_(model_),
      chunk_tokens_max_(std::min(config.chunk_tokens, info_.context_tokens)),
      table_(config.sequences_max, info_.context_tokens),
      tensors_(static_cast<std::uint32_t>(codec_.layers().size())) {}

LlamaEngine::~LlamaEngine() = default;

Status LlamaEngine::start(const EngineConfig& config) {
  // Room for a chunk, and for one token of every sequence; two for check_assumptions().
  const std::uint32_t batch_tokens = std::max({chunk_tokens_max_, config.sequences_max, 2u});
  batch_.reset(new llama_batch(llama_batch_init(static_cast<std::int32_t>(batch_tokens), 0, 1)));
  llama_context_params params = context_params(config, info_.context_tokens, batch_tokens);
  params.cb_eval = KvTensors::on_node;
  params.cb_eval_user_data = &tensors_;
  params.abort_callback = [](void* self) { return static_cast<LlamaEngine*>(self)->cancelled_.load(); };
  params.abort_callback_data = this;
  const ErrorCapture errors;
  context_.reset(llama_init_from_model(model_.get(), params));
  if (context_ == nullptr) {
    return Status(Code::kUnsupported, fmt::format("llama.cpp cannot make a context of {} sequences of {} tokens: {}",
                                                  config.sequences_max, info_.context_tokens, errors.reason()));
  }
  MC_RETURN_IF_ERROR(check_assumptions());
  tensors_.release_pages();
  return {};
}

// Computes two tokens, and compares the rows and the header that we predict with what llama.cpp says.
Status LlamaEngine::check_assumptions() {
  MC_ASSIGN_OR_RETURN(const SequenceId sequence, open(2));
  const std::vector<Token> tokens = {0, 1};
  const WorkItem item{.sequence = sequence, .position = 0, .tokens = tokens, .want_logits = true};
  Output output;
  MC_RETURN_IF_ERROR(step({&item, 1}, {&output, 1}));
  MC_RETURN_IF_ERROR(output.status);
  const auto differs = [this](std::string_view what) {
    return Status(Code::kUnsupported, fmt::format("{} keeps its KVCache in another way than expected ({}); this build "
                                                  "serves plain decoders such as SmolLM2, Llama and Qwen 2 and 3",
                                                  info_.id, what));
  };
  if (!tensors_.matches(codec_)) return differs("rows");
  std::vector<std::byte> block(codec_.block_bytes());
  MC_RETURN_IF_ERROR(export_block(sequence, 0, block));
  const ConstByteSpan view(block);
  std::vector<std::byte> expected(codec_.state_bytes(2));
  codec_.assemble_state(sequence.index, {&view, 1}, 2, expected);
  if (library_state(sequence) != expected) return differs("state");
  return close(sequence);
}

Result<SequenceId> LlamaEngine::open(std::uint32_t reserve_tokens) { return table_.open(reserve_tokens); }

Status LlamaEngine::close(SequenceId sequence) {
  MC_RETURN_IF_ERROR(table_.close(sequence));
  forget(sequence.index, 0);
  return {};
}

Status LlamaEngine::truncate(SequenceId sequence, std::uint32_t position) {
  MC_RETURN_IF_ERROR(table_.truncate(sequence, position));
  forget(sequence.index, position);
  return {};
}

Result<std::uint32_t> LlamaEngine::length(SequenceId sequence) const {
  MC_ASSIGN_OR_RETURN(const SequenceTable::Slot* const slot, table_.find(sequence));
  return slot->length;
}

Status LlamaEngine::import_prefix(SequenceId sequence, std::span<const ConstByteSpan> blocks,
                                  std::uint32_t token_count) {
  MC_RETURN_IF_ERROR(table_.check_import(sequence, blocks, token_count, layout_));
  for (std::uint32_t index = 0; index < blocks.size(); ++index) {
    const std::uint32_t tokens = std::min(kBlockTokens, token_count - index * kBlockTokens);
    MC_RETURN_IF_ERROR(codec_.check_header(blocks[index], index, tokens));
  }
  const std::size_t bytes = codec_.state_bytes(token_count);
  if (state_bytes_ < bytes) {
    state_ = std::make_unique_for_overwrite<std::byte[]>(bytes);
    state_bytes_ = bytes;
  }
  const ByteSpan state(state_.get(), bytes);
  codec_.assemble_state(sequence.index, blocks, token_count, state);
  const ErrorCapture errors;
  const std::size_t read =
      llama_state_seq_set_data_ext(context_.get(), reinterpret_cast<const std::uint8_t*>(state.data()), bytes,
                                   static_cast<llama_seq_id>(sequence.index), LLAMA_STATE_SEQ_FLAGS_NONE);
  if (read != bytes) {
    forget(sequence.index, 0);
    return Status(Code::kInternal,
                  fmt::format("llama.cpp refuses a state of {} tokens: {}", token_count, errors.reason()));
  }
  table_.find(sequence).value()->length = token_count;
  return {};
}

Status LlamaEngine::export_block(SequenceId sequence, std::uint32_t index, ByteSpan target) {
  MC_RETURN_IF_ERROR(table_.check_export(sequence, index, target, layout_));
  const std::uint32_t position = index * kBlockTokens;
  const std::uint32_t tokens = std::min(kBlockTokens, table_.find(sequence).value()->length - position);
  if (tokens < kBlockTokens) std::memset(target.data(), 0, target.size());
  codec_.write_header(target.data(), index, tokens);
  tensors_.copy_rows(sequence.index, position, tokens, codec_, target.data());
  return {};
}

Status LlamaEngine::step(std::span<const WorkItem> items, std::span<Output> outputs) {
  if (items.size() != outputs.size()) return Status(Code::kInvalidArgument, "a step needs one output an item");
  const std::vector<Status> checks = table_.check_items(
      items, {.chunk_tokens_max = chunk_tokens_max_, .vocabulary_size = tokenizer_.vocabulary_size()});
  std::vector<std::size_t> singles;
  std::vector<std::size_t> chunks;
  for (std::size_t i = 0; i < items.size(); ++i) {
    outputs[i] = Output{.status = checks[i], .logits = {}};
    if (checks[i].ok()) (items[i].tokens.size() == 1 ? singles : chunks).push_back(i);
  }
  // llama.cpp computes neighbouring streams together if they come in order.
  std::ranges::sort(singles, {}, [&](std::size_t i) { return items[i].sequence.index; });

  bool in_time = true;
  const auto compute = [&](std::span<const std::size_t> chosen) {
    if (in_time) {
      in_time = decode(items, chosen, outputs);
      return;
    }
    for (const std::size_t i : chosen) outputs[i].status = cancelled();
  };
  for (std::size_t at = 0; at < singles.size(); at += kExactBatchMax) {
    compute(std::span(singles).subspan(at, std::min(kExactBatchMax, singles.size() - at)));
  }
  for (const std::size_t& i : chunks) compute({&i, 1});
  return in_time ? Status() : cancelled();
}

bool LlamaEngine::decode(std::span<const WorkItem> items, std::span<const std::size_t> chosen,
                         std::span<Output> outputs) {
  fill_batch(items, chosen);
  const ErrorCapture errors;
  const std::int32_t code = cancelled_ ? 2 : llama_decode(context_.get(), *batch_);
  std::int32_t row = -1;  // of the item's last token in the batch
  for (const std::size_t i : chosen) {
    const WorkItem& item = items[i];
    const auto count = static_cast<std::uint32_t>(item.tokens.size());
    row += static_cast<std::int32_t>(count);
    if (code != 0) {
      forget(item.sequence.index, item.position);  // some of it may have been computed
      outputs[i].status =
          code == 2
              ? cancelled()
              : Status(Code::kInternal, fmt::format("llama.cpp failed to compute ({}): {}", code, errors.reason()));
      continue;
    }
    table_.find(item.sequence).value()->length = item.position + count;
    if (!item.want_logits) continue;
    const float* const logits = llama_get_logits_ith(context_.get(), row);
    outputs[i].logits.assign(logits, logits + tokenizer_.vocabulary_size());
  }
  if (code == 2) cancelled_ = false;
  return code != 2;
}

void LlamaEngine::fill_batch(std::span<const WorkItem> items, std::span<const std::size_t> chosen) {
  batch_->n_tokens = 0;
  for (const std::size_t i : chosen) {
    const WorkItem& item = items[i];
    for (std::size_t k = 0; k < item.tokens.size(); ++k) {
      const std::int32_t row = batch_->n_tokens++;
      batch_->token[row] = item.tokens[k];
      batch_->pos[row] = static_cast<llama_pos>(item.position + k);
      batch_->n_seq_id[row] = 1;
      batch_->seq_id[row][0] = static_cast<llama_seq_id>(item.sequence.index);
      batch_->logits[row] = item.want_logits && k + 1 == item.tokens.size() ? 1 : 0;
    }
  }
}

void LlamaEngine::forget(std::uint32_t slot, std::uint32_t position) {
  llama_memory_seq_rm(llama_get_memory(context_.get()), static_cast<llama_seq_id>(slot),
                      static_cast<llama_pos>(position), -1);
}

std::vector<std::byte> LlamaEngine::library_state(SequenceId sequence) {
  const auto id = static_cast<llama_seq_id>(sequence.index);
  std::vector<std::byte> state(llama_state_seq_get_size_ext(context_.get(), id, LLAMA_STATE_SEQ_FLAGS_NONE));
  llama_state_seq_get_data_ext(context_.get(), reinterpret_cast<std::uint8_t*>(state.data()), state.size(), id,
                               LLAMA_STATE_SEQ_FLAGS_NONE);
  return state;
}

}  // namespace mooncake::engine::llama
