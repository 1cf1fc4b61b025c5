// What a GGUF file says about itself, read and checked before llama.cpp sees it: is it whole, is it a model that this
// engine can serve, what do its KVCache rows look like, and which model is it.
//
// Reads the metadata and hashes the file; loads no weights. So gateway and workers agree on the model without either
// asking the other.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/key128.h"
#include "base/status.h"

namespace mooncake::engine::llama {

/// Bytes of one token's row in one layer's caches. F16: two bytes a value.
struct LayerRows {
  std::uint32_t key_bytes = 0;
  std::uint32_t value_bytes = 0;
  bool operator==(const LayerRows&) const = default;
};

struct GgufFile {
  std::string id;                    ///< from the file's name: "smollm2-135m-instruct"
  std::string architecture;          ///< "llama", "qwen2", ...
  std::uint32_t context_tokens = 0;  ///< that the model was trained for
  std::vector<LayerRows> layers;
  Key128 content;  ///< first 128 bits of the SHA-256 of the whole file
};

/// Reads and checks the file. About 0.1 s for each 100 MB, for the hash.
/// @return kNotFound if it is not there, kCorrupt if it is truncated or no GGUF file, kUnsupported if it is one that
/// this engine cannot serve (no tokenizer, sliding-window or recurrent attention). The message says what to do.
Result<GgufFile> read_gguf(const std::string& path);

/// "/models/SmolLM2-135M-Instruct-Q8_0.gguf" is model "smollm2-135m-instruct": lower case, without folder, ending and
/// quantisation.
std::string model_id_from_path(const std::string& path);

}  // namespace mooncake::engine::llama
