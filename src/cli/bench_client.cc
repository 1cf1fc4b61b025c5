#include "cli/bench_client.h"

#include <fmt/core.h>

#include <nlohmann/json.hpp>

#include "net/http_client.h"

namespace mooncake::cli {
namespace {

using Json = nlohmann::json;

constexpr Seconds kQuestionWait{30};
/// An error's JSON is shorter than this; of an answer nothing needs to be kept.
constexpr std::size_t kErrorBytesMax = 16 << 10;

std::string dumped(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

// Members of JSON that a server sent, which may be anything.
const Json& member(const Json& json, const char* key) {
  static const Json kNull;
  if (!json.is_object()) return kNull;
  const auto at = json.find(key);
  return at == json.end() ? kNull : *at;
}
std::uint32_t count_of(const Json& json) {
  return json.is_number_unsigned() ? static_cast<std::uint32_t>(json.get<std::uint64_t>()) : 0;
}
std::string text_of(const Json& json) { return json.is_string() ? json.get<std::string>() : std::string(); }

std::string server_words(const std::string& body, std::uint32_t status) {
  const std::string message = text_of(member(member(Json::parse(body, nullptr, false), "error"), "message"));
  return fmt::format("the gateway answered {}: {}", status, message.empty() ? body : message);
}

Result<Json> ask(std::string_view method, const GatewayAccess& gateway, const std::string& path,
                 const std::string& body) {
  const std::string url = gateway.url + path;
  auto response = net::http_request(method, url, gateway.headers(), body, SteadyClock().now() + kQuestionWait);
  if (!response.ok()) return response.status().annotate(url);
  if (response->status != 200) {
    return Status(Code::kUnavailable, url + ": " + server_words(response->body, response->status));
  }
  Json json = Json::parse(response->body, nullptr, false);
  if (json.is_discarded()) return Status(Code::kCorrupt, url + " did not answer with JSON");
  return json;
}

// A number in the answer of POST /tokenize.
Result<std::uint32_t> tokenize(const GatewayAccess& gateway, std::string_view text, const char* number) {
  MC_ASSIGN_OR_RETURN(const Json json, ask("POST", gateway, "/tokenize", dumped({{"prompt", text}})));
  const Json& found = member(json, number);
  if (!found.is_number_unsigned()) {
    return Status(Code::kCorrupt, fmt::format("{}/tokenize did not answer with \"{}\"", gateway.url, number));
  }
  return count_of(found);
}

}  // namespace

void CompletionMeter::add(std::string_view piece, Instant now) {
  for (const std::string& event : reader_.add(piece)) take(event, now);
}

void CompletionMeter::take(const std::string& event, Instant now) {
  if (event == "[DONE]") {
    done_ = true;
    return;
  }
  const Json json = Json::parse(event, nullptr, false);
  if (const Json& error = member(json, "error"); !error.is_null()) error_ = text_of(member(error, "message"));
  if (const Json& usage = member(json, "usage"); usage.is_object()) {
    facts_.prompt_tokens = count_of(member(usage, "prompt_tokens"));
    facts_.answer_tokens = count_of(member(usage, "completion_tokens"));
    facts_.cached_tokens = count_of(member(member(usage, "prompt_tokens_details"), "cached_tokens"));
  }
  const Json& choices = member(json, "choices");
  if (!choices.is_array() || choices.empty()) return;
  // The event that only says why the answer ended carries no token, unless nothing came before it.
  if (last_token_ && text_of(member(choices[0], "text")).empty()) return;
  if (last_token_) {
    facts_.gaps.push_back(now - *last_token_);
  } else {
    facts_.ttft = now - sent_;
  }
  last_token_ = now;
}

Result<CompletionFacts> CompletionMeter::finish(Instant now) const {
  if (!error_.empty()) return Status(Code::kUnavailable, "the stream broke off: " + error_);
  if (!done_ || !last_token_) return Status(Code::kPeerLost, "the stream ended before the answer was complete");
  CompletionFacts facts = facts_;
  facts.total = now - sent_;
  return facts;
}

Result<CompletionFacts> measure_completion(const GatewayAccess& gateway, const CompletionRequest& request) {
  const Json body = {{"model", request.model},
                     {"prompt", request.prompt},
                     {"max_tokens", request.answer_tokens},
                     {"temperature", 0},
                     {"ignore_eos", true},
                     {"stream", true},
                     {"stream_options", {{"include_usage", true}}}};
  net::HttpHeaders headers = gateway.headers();
  if (!request.place_prefill.empty()) headers.emplace_back("x-mooncake-place-prefill", request.place_prefill);
  const SteadyClock clock;
  const std::string text = dumped(body);
  CompletionMeter meter(clock.now());
  std::string raw;
  auto response = net::http_request("POST", gateway.url + "/v1/completions", headers, text,
                                    clock.now() + kBenchAnswerWait, [&](std::string_view piece) {
                                      meter.add(piece, clock.now());
                                      if (raw.size() < kErrorBytesMax) raw += piece;
                                      return true;
                                    });
  const Instant end = clock.now();
  if (!response.ok()) return response.status();
  if (response->status != 200) {
    const bool refused = response->status == 429 || response->status == 503;
    return Status(refused ? Code::kExhausted : Code::kUnavailable, server_words(raw, response->status));
  }
  MC_ASSIGN_OR_RETURN(CompletionFacts facts, meter.finish(end));
  if (const auto name = response->headers.find("x-mooncake-prefill"); name != response->headers.end()) {
    facts.prefill = name->second;
  }
  return facts;
}

Result<std::vector<std::string>> prefill_instances(const GatewayAccess& gateway) {
  MC_ASSIGN_OR_RETURN(const Json json, ask("GET", gateway, "/mooncake/cluster", ""));
  const Json& instances = member(json, "instances");
  if (!instances.is_array()) return Status(Code::kCorrupt, gateway.url + "/mooncake/cluster lists no instances");
  std::vector<std::string> names;
  for (const Json& instance : instances) {
    const bool usable = member(instance, "role") == "prefill" && member(instance, "state") == "up";
    if (usable) names.push_back(text_of(member(instance, "name")));
  }
  return names;
}

Result<std::uint32_t> context_tokens(const GatewayAccess& gateway) { return tokenize(gateway, "x", "max_model_len"); }

Result<std::uint32_t> count_tokens(const GatewayAccess& gateway, std::string_view text) {
  return tokenize(gateway, text, "count");
}

}  // namespace mooncake::cli
