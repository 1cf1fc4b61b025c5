// `mooncake chat`: a conversation in the terminal, streamed. One line in is one turn; the whole conversation is sent
// each time, and the cluster's cache makes that cheap: the figures after each answer show it.
#include <fmt/core.h>
#include <unistd.h>

#include <iostream>
#include <nlohmann/json.hpp>

#include "cli/gateway_access.h"
#include "cli/sse_reader.h"
#include "cli/tool_commands.h"
#include "net/http_client.h"

namespace mooncake::cli {
namespace {

using Json = nlohmann::json;

constexpr Seconds kAnswerWait{600};
/// An error's JSON is shorter than this; of an answer no more needs to be kept.
constexpr std::size_t kErrorBytesMax = 16 << 10;

/// One streamed answer, taken apart as it arrives.
struct Answer {
  std::string text;
  std::string raw;  ///< everything that came: the error's JSON if it was refused
  Instant first{};  ///< when its first text arrived; Instant{} before
  Json usage;
  std::string error;  ///< said by the server in mid-stream
};

void take_event(const std::string& event, Answer& answer, const Clock& clock) {
  const Json json = Json::parse(event, nullptr, false);
  if (!json.is_object()) return;  // "[DONE]"
  if (json.contains("error")) answer.error = json["error"].value("message", "the answer broke off");
  if (const auto usage = json.find("usage"); usage != json.end() && usage->is_object()) answer.usage = *usage;
  const auto choices = json.find("choices");
  if (choices == json.end() || choices->empty()) return;
  const Json& delta = (*choices)[0].value("delta", Json::object());
  if (!delta.contains("content") || !delta["content"].is_string()) return;
  const std::string text = delta["content"];
  if (text.empty()) return;
  if (answer.first == Instant{}) answer.first = clock.now();
  answer.text += text;
  fmt::print("{}", text);
  std::fflush(stdout);
}

std::string server_message(const std::string& body, std::uint32_t status) {
  const Json json = Json::parse(body, nullptr, false);
  if (json.is_object() && json.contains("error") && json["error"].is_object()) {
    return json["error"].value("message", body);
  }
  return fmt::format("the server answered {}: {}", status, body);
}

void print_figures(const Answer& answer, const net::HttpResponse& response, Instant asked) {
  const auto header = [&](std::string_view name) {
    const auto at = response.headers.find(name);
    return at == response.headers.end() ? std::string("?") : at->second;
  };
  const Json details = answer.usage.value("prompt_tokens_details", Json::object());
  fmt::print(
      "\n\033[2m[first token after {:.0f} ms; {} of {} prompt tokens from the cache; {} -> {}; request {}]\033[0m\n",
      to_ms(answer.first - asked), details.value("cached_tokens", 0), answer.usage.value("prompt_tokens", 0),
      header("x-mooncake-prefill"), header("x-mooncake-decode"), header("x-request-id"));
}

/// Asks, prints the answer as it comes, and returns it.
Result<std::string> ask(const GatewayAccess& gateway, const Json& body, bool figures) {
  const SteadyClock clock;
  const Instant asked = clock.now();
  SseReader reader;
  Answer answer;
  auto response = net::http_request("POST", gateway.url + "/v1/chat/completions", gateway.headers(),
                                    body.dump(-1, ' ', false, Json::error_handler_t::replace), asked + kAnswerWait,
                                    [&](std::string_view piece) {
                                      if (answer.raw.size() < kErrorBytesMax) answer.raw += piece;
                                      for (const auto& event : reader.add(piece)) take_event(event, answer, clock);
                                      return true;
                                    });
  if (!response.ok()) return response.status();
  if (response->status != 200) return Status(Code::kUnavailable, server_message(answer.raw, response->status));
  if (!answer.error.empty()) return Status(Code::kUnavailable, answer.error);
  if (figures) {
    print_figures(answer, *response, asked);
  } else {
    fmt::print("\n");
  }
  return answer.text;
}

}  // namespace

int run_chat(const Invocation& invocation) {
  const Config& config = invocation.config;
  auto gateway = gateway_access(invocation, "chat");
  if (!gateway.ok()) return fail(gateway.status());
  auto model = config.text("chat.model").empty() ? served_model(*gateway) : Result(config.text("chat.model"));
  if (!model.ok()) return fail(model.status());

  const bool terminal = ::isatty(STDIN_FILENO) == 1 && ::isatty(STDOUT_FILENO) == 1;
  if (terminal) fmt::print("{} at {}. An empty line or Ctrl-D ends.\n", *model, gateway->url);
  Json messages = Json::array();
  if (!config.text("chat.system").empty())
    messages.push_back({{"role", "system"}, {"content", config.text("chat.system")}});
  std::string line;
  while (true) {
    if (terminal) fmt::print("\n> ");
    std::fflush(stdout);
    if (!std::getline(std::cin, line) || line.empty()) break;
    messages.push_back({{"role", "user"}, {"content", line}});
    auto answer = ask(*gateway,
                      {{"model", *model},
                       {"messages", messages},
                       {"stream", true},
                       {"stream_options", {{"include_usage", true}}},
                       {"max_tokens", config.integer("chat.max_tokens")},
                       {"temperature", config.number("chat.temperature")}},
                      terminal);
    if (!answer.ok()) return fail(answer.status());
    messages.push_back({{"role", "assistant"}, {"content", *answer}});
  }
  return kExitOk;
}

}  // namespace mooncake::cli
