#include <fmt/core.h>

#include "engine/engine.h"
#include "engine/llama/llama_engine.h"
#include "engine/simulated/simulated_engine.h"
#include "engine/simulated/simulated_model.h"

namespace mooncake::engine {
namespace {

Status unknown_kind(const std::string& kind) {
  return Status(Code::kInvalidArgument, fmt::format("unknown engine \"{}\": use llama or simulated", kind));
}

}  // namespace

Result<std::unique_ptr<Engine>> make_engine(const EngineConfig& config) {
  if (config.kind == "llama") return llama::make_llama_engine(config);
  if (config.kind != "simulated") return unknown_kind(config.kind);
  return std::unique_ptr<Engine>(std::make_unique<simulated::SimulatedEngine>(config, simulated::SimulatedTimes{}));
}

Result<ModelFront> load_model_front(const EngineConfig& config) {
  if (config.kind == "llama") return llama::load_llama_front(config);
  if (config.kind != "simulated") return unknown_kind(config.kind);
  return ModelFront{.model = simulated::model_info(config.context_tokens),
                    .layout = simulated::kv_layout(),
                    .tokenizer = std::make_unique<simulated::SimulatedTokenizer>()};
}

}  // namespace mooncake::engine
