// A loaded model of llama.cpp, or its vocabulary alone.
#pragma once

#include <memory>
#include <string>

#include "base/status.h"

struct llama_model;

namespace mooncake::engine::llama {

struct FreeModel {
  void operator()(llama_model* model) const;
};
/// Shared: a tokenizer reads the vocabulary of the model that its engine computes with.
using ModelPointer = std::shared_ptr<llama_model>;

enum class LoadWhat { kVocabulary, kWeights };

/// Loads a file that read_gguf() accepted. @return kCorrupt or kUnsupported with llama.cpp's own reason.
Result<ModelPointer> load_model(const std::string& path, LoadWhat what);

}  // namespace mooncake::engine::llama
