#include "engine/llama/llama_model.h"

#include <fmt/core.h>
#include <llama.h>

#include "engine/llama/llama_log.h"

namespace mooncake::engine::llama {

void FreeModel::operator()(llama_model* model) const { llama_model_free(model); }

Result<ModelPointer> load_model(const std::string& path, LoadWhat what) {
  start_library();
  llama_model_params params = llama_model_default_params();
  params.vocab_only = what == LoadWhat::kVocabulary;
  params.n_gpu_layers = 0;
  const ErrorCapture errors;
  std::unique_ptr<llama_model, FreeModel> model(llama_model_load_from_file(path.c_str(), params));
  if (model == nullptr) {
    return Status(Code::kUnsupported, fmt::format("llama.cpp cannot load {}: {}", path, errors.reason()));
  }
  if (what == LoadWhat::kWeights) {
    if (llama_model_n_swa(model.get()) > 0) {
      return Status(Code::kUnsupported,
                    fmt::format("{} attends through a sliding window, and a cached prefix of such a model is not "
                                "complete; use a model with full attention",
                                path));
    }
    if (llama_model_is_recurrent(model.get()) || llama_model_is_hybrid(model.get()) ||
        llama_model_is_diffusion(model.get()) || llama_model_has_encoder(model.get())) {
      return Status(Code::kUnsupported,
                    fmt::format("{} is not a decoder with a plain KVCache; use one, for example SmolLM2", path));
    }
  }
  return ModelPointer(std::move(model));
}

}  // namespace mooncake::engine::llama
