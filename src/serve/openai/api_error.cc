#include "serve/openai/api_error.h"

#include <fmt/core.h>

#include <algorithm>
#include <nlohmann/json.hpp>

namespace mooncake::serve::openai {
namespace {

nlohmann::ordered_json text_or_null(const std::string& text) {
  if (text.empty()) return nullptr;
  return text;
}

// Lost workers and full queues pass; a client that comes back after a second usually succeeds.
constexpr Seconds kRetryAfterDefault{1};

}  // namespace

ApiError invalid_field(std::string param, std::string message, std::string code) {
  return {.code = std::move(code), .message = std::move(message), .param = std::move(param), .hint = {}};
}

ApiError overloaded(std::string code, std::string message, std::string hint, Nanos retry_after) {
  return {.http_status = 503,
          .type = "server_error",
          .code = std::move(code),
          .message = std::move(message),
          .param = {},
          .hint = std::move(hint),
          .retry_after = std::max<Nanos>(retry_after, kRetryAfterDefault)};
}

ApiError unauthorized() {
  return {.http_status = 401,
          .code = "invalid_api_key",
          .message = "No API key that is known here came with the request.",
          .param = {},
          .hint = "Send the header 'Authorization: Bearer KEY'; whoever runs this gateway gives out keys."};
}

ApiError model_not_found(std::string_view asked, std::string_view served) {
  return {.http_status = 404,
          .code = "model_not_found",
          .message = fmt::format("The model '{}' does not exist here.", asked.substr(0, 200)),
          .param = "model",
          .hint = fmt::format("This cluster serves '{}'; GET /v1/models lists it.", served)};
}

ApiError unknown_path(std::string_view path) {
  return {.http_status = 404,
          .code = "unknown_url",
          .message = fmt::format("There is nothing at {}.", path.substr(0, 200)),
          .param = {},
          .hint = "POST /v1/chat/completions or /v1/completions; GET /v1/models."};
}

ApiError wrong_method(std::string_view method, std::string_view path) {
  return {.http_status = 405,
          .code = "method_not_allowed",
          .message = fmt::format("{} is not offered at {}.", method.substr(0, 20), path.substr(0, 200)),
          .param = {},
          .hint = {}};
}

std::uint32_t http_status(Code code) {
  switch (code) {
    case Code::kOk:
      return 200;
    case Code::kInvalidArgument:
    case Code::kOutOfRange:
    case Code::kUnsupported:
      return 400;
    case Code::kPermissionDenied:
      return 403;
    case Code::kNotFound:
      return 404;
    case Code::kAlreadyExists:
      return 409;
    case Code::kCancelled:
      return 499;  // the client closed the request; nobody reads it
    case Code::kPeerLost:
    case Code::kStale:
    case Code::kCorrupt:
      return 502;
    case Code::kExhausted:
    case Code::kUnavailable:
      return 503;
    case Code::kDeadlineExceeded:
      return 504;
    case Code::kInternal:
      return 500;
  }
  return 500;
}

ApiError api_error(const Status& status) {
  CHECK(!status.ok());
  const std::uint32_t http = http_status(status.code());
  return {.http_status = http,
          .type = http < 500 ? "invalid_request_error" : "server_error",
          .code = std::string(code_name(status.code())),
          .message = status.message(),
          .param = {},
          .hint = http == 502 || http == 503 ? "Send the request again." : "",
          .retry_after = http == 503 ? kRetryAfterDefault : Nanos{}};
}

std::string error_body(const ApiError& error) {
  nlohmann::ordered_json inner = {{"message", error.message},
                                  {"type", error.type},
                                  {"param", text_or_null(error.param)},
                                  {"code", text_or_null(error.code)}};
  if (!error.hint.empty()) inner["hint"] = error.hint;
  const nlohmann::ordered_json body = {{"error", std::move(inner)}};
  return body.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

net::HttpHeaders error_headers(const ApiError& error) {
  net::HttpHeaders headers = {{"content-type", "application/json"}};
  if (error.retry_after > Nanos{}) {
    headers.emplace_back("retry-after", std::to_string(std::chrono::ceil<Seconds>(error.retry_after).count()));
  }
  if (error.http_status == 401) headers.emplace_back("www-authenticate", "Bearer");
  return headers;
}

}  // namespace mooncake::serve::openai
