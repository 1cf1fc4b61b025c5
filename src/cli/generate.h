// `mooncake generate`: the model in one process, without a cluster. What it prints is the reference for everything that
// a cluster answers: the same tokens, and KVCache blocks with the same checksums.
#pragma once

#include <cstdint>
#include <string>

#include "engine/engine.h"

namespace mooncake::cli {

struct GenerateOptions {
  engine::EngineConfig engine;  ///< with the path of the model resolved
  std::string prompt;           ///< text to continue; exactly one of prompt, prompt_file and input is not empty
  std::string prompt_file;      ///< a file that holds it
  /// A file with a request a line, as JSON: {"prompt": "..."} or {"messages": [{"role", "content"}, ...]}, and, where
  /// they differ from the options below, "max_tokens", "temperature", "top_p", "seed". Answers are JSON, one a line.
  std::string input;
  bool chat = false;  ///< the prompt is a user's message; the model answers it
  std::uint32_t max_tokens = 128;
  float temperature = 0;
  float top_p = 1;
  std::uint64_t seed = 0;
  /// Where {"text", "tokens", "finish_reason", "prompt_tokens", "prefill_ms", "decode_ms", "kv_crc32c",
  /// "kv_checksum"} goes (json_output.h), a line a request; empty: nowhere, but for --input, which prints it.
  std::string json;
};

/// Answers, and prints to standard output; figures and errors go to standard error. @return the exit status.
int run_generate(const GenerateOptions& options);

}  // namespace mooncake::cli
