#include "cli/generate.h"

#include <fmt/core.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "base/crc32c.h"
#include "base/utf8.h"
#include "cli/command.h"
#include "cli/json_output.h"
#include "engine/generate.h"
#include "kvcache/kv_checksum.h"

namespace mooncake::cli {
namespace {

using Json = nlohmann::json;
using engine::ChatMessage;
using engine::Engine;
using engine::Generated;
using engine::GenerateRequest;
using engine::Token;

Result<std::string> read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  if (!file || !(text << file.rdbuf() || file.eof())) {
    return Status(Code::kNotFound, fmt::format("{} cannot be read", path));
  }
  return std::move(text).str();
}

/// A line of --input as a request. `defaults` holds what the line does not say.
Result<GenerateRequest> parse_line(const Engine& engine, const std::string& line, GenerateRequest defaults) {
  const auto bad = [](std::string_view why) { return Status(Code::kInvalidArgument, std::string(why)); };
  const Json json = Json::parse(line, nullptr, false);
  if (!json.is_object()) return bad("a line of --input must be a JSON object");
  std::string text;
  const bool chat = json.contains("messages");
  try {  // nlohmann-json throws on values of the wrong type
    defaults.tokens_max = json.value("max_tokens", defaults.tokens_max);
    defaults.temperature = json.value("temperature", defaults.temperature);
    defaults.top_p = json.value("top_p", defaults.top_p);
    defaults.seed = json.value("seed", defaults.seed);
    if (chat) {
      std::vector<ChatMessage> messages;
      for (const Json& message : json.at("messages")) messages.push_back({message.at("role"), message.at("content")});
      MC_ASSIGN_OR_RETURN(text, engine.tokenizer().chat_prompt(messages));
    } else {
      text = json.at("prompt");
    }
  } catch (const Json::exception& error) {
    return bad(error.what());
  }
  MC_ASSIGN_OR_RETURN(defaults.prompt, engine.tokenizer().tokenize(text, chat));
  return defaults;
}

GenerateRequest defaults_of(const GenerateOptions& options) {
  return {.prompt = {},
          .tokens_max = options.max_tokens,
          .temperature = options.temperature,
          .top_p = options.top_p,
          .seed = options.seed};
}

Result<GenerateRequest> single_request(const Engine& engine, const GenerateOptions& options) {
  std::string text = options.prompt;
  if (!options.prompt_file.empty()) {
    MC_ASSIGN_OR_RETURN(text, read_file(options.prompt_file));
  }
  if (options.chat) {
    const ChatMessage message{"user", text};
    MC_ASSIGN_OR_RETURN(text, engine.tokenizer().chat_prompt({&message, 1}));
  }
  GenerateRequest request = defaults_of(options);
  MC_ASSIGN_OR_RETURN(request.prompt, engine.tokenizer().tokenize(text, options.chat));
  return request;
}

/// Answers one request. Prints the text as it comes, if told to. @return the answer as a line of JSON.
Result<std::string> answer(Engine& engine, const GenerateRequest& request, bool print) {
  Utf8Joiner joiner;
  std::string text;
  std::vector<std::uint32_t> checksums;
  const auto show = [&](const std::string& piece) {
    text += piece;
    if (!print) return;
    fmt::print("{}", piece);
    std::fflush(stdout);
  };
  const auto keep = [&](std::uint32_t, ConstByteSpan block) { checksums.push_back(crc32c(block)); };
  MC_ASSIGN_OR_RETURN(
      const Generated generated,
      engine::generate(
          engine, request,
          {.token = [&](Token token) { show(joiner.push(engine.tokenizer().piece(token))); }, .block = keep}));
  show(joiner.finish());
  if (print) {
    fmt::print("\n");
    fmt::print(stderr, "[{} prompt tokens in {:.0f} ms; {} tokens in {:.0f} ms]\n", request.prompt.size(),
               to_ms(generated.prefill), generated.tokens.size(), to_ms(generated.decode));
  }
  const Json line = {{"text", text},
                     {"tokens", generated.tokens},
                     {"finish_reason", generated.ended ? "stop" : "length"},
                     {"prompt_tokens", request.prompt.size()},
                     {"prefill_ms", to_ms(generated.prefill)},
                     {"decode_ms", to_ms(generated.decode)},
                     {"kv_crc32c", checksums},
                     {"kv_checksum", kvcache::show_kv_checksum(kvcache::kv_checksum(checksums))}};
  return line.dump() + "\n";
}

Status answer_file(Engine& engine, const GenerateOptions& options) {
  std::ifstream input(options.input);
  if (!input) return Status(Code::kNotFound, fmt::format("{} cannot be read", options.input));
  std::string line;
  std::string answers;  // of a file, which is written as a whole
  const std::string target = options.json.empty() ? std::string(kJsonToStdout) : options.json;
  for (std::size_t number = 1; std::getline(input, line); ++number) {
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    const std::string where = fmt::format("{}:{}", options.input, number);
    const auto request = parse_line(engine, line, defaults_of(options));
    if (!request.ok()) return request.status().annotate(where);
    const auto answered = answer(engine, *request, /*print=*/false);
    if (!answered.ok()) return answered.status().annotate(where);
    if (target == kJsonToStdout) {
      MC_RETURN_IF_ERROR(write_json(target, *answered));
    } else {
      answers += *answered;
    }
  }
  return target == kJsonToStdout ? Status() : write_json(target, answers);
}

Status generate_all(const GenerateOptions& options) {
  MC_ASSIGN_OR_RETURN(const std::unique_ptr<Engine> engine, engine::make_engine(options.engine));
  if (!options.input.empty()) return answer_file(*engine, options);
  MC_ASSIGN_OR_RETURN(const GenerateRequest request, single_request(*engine, options));
  MC_ASSIGN_OR_RETURN(const std::string line, answer(*engine, request, /*print=*/options.json != kJsonToStdout));
  return write_json(options.json, line);
}

}  // namespace

int run_generate(const GenerateOptions& options) {
  const int sources = !options.prompt.empty() + !options.prompt_file.empty() + !options.input.empty();
  if (sources != 1) {
    (void)fail(Status(Code::kInvalidArgument, "give one of --prompt, --prompt-file and --input"));
    return kExitUsage;
  }
  const Status status = generate_all(options);
  return status.ok() ? kExitOk : fail(status);
}

}  // namespace mooncake::cli
