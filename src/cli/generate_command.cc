// The options of `mooncake generate` (generate.h).
#include "cli/generate.h"
#include "cli/tool_commands.h"

namespace mooncake::cli {

int run_generate_command(const Invocation& invocation) {
  const Config& config = invocation.config;
  const auto count = [&](std::string_view key) { return static_cast<std::uint32_t>(config.integer(key)); };
  GenerateOptions options;
  options.engine.kind = config.text("generate.engine");
  auto model = resolve_model(options.engine.kind, config.text("generate.model"), invocation.environment);
  if (!model.ok()) return fail(model.status());
  options.engine.model_path = *model;
  options.engine.threads = count("generate.threads");
  options.engine.context_tokens = count("generate.context_tokens");
  options.engine.chunk_tokens = count("generate.chunk_tokens");
  options.prompt = config.text("generate.prompt");
  options.prompt_file = config.text("generate.prompt_file");
  options.input = config.text("generate.input");
  options.chat = config.boolean("generate.chat");
  options.max_tokens = count("generate.max_tokens");
  options.temperature = static_cast<float>(config.number("generate.temperature"));
  options.top_p = static_cast<float>(config.number("generate.top_p"));
  options.seed = static_cast<std::uint64_t>(config.integer("generate.seed"));
  options.json = config.text("generate.json");
  return run_generate(options);
}

}  // namespace mooncake::cli
