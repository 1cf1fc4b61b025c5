// ApiError: an error as an OpenAI client reads it, and the one place where Status codes become HTTP statuses.
//
//   {"error": {"message": "...", "type": "invalid_request_error", "param": "n", "code": "invalid_value", "hint":
//   "..."}}
//
// `code` is stable and meant for programs, `message` for people; `hint` (ours; clients ignore it) says what to do.
// Value type.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/status.h"
#include "base/time.h"
#include "net/http_server.h"

namespace mooncake::serve::openai {

struct ApiError {
  std::uint32_t http_status = 400;
  std::string type = "invalid_request_error";
  std::string code{};  ///< empty: null in the JSON
  std::string message{};
  std::string param{};  ///< the offending field ("messages[2].role"); empty: null in the JSON
  std::string hint{};   ///< empty: left out
  Nanos retry_after{};  ///< above 0: sent as Retry-After, whole seconds rounded up
};

/// A 400 about one field.
ApiError invalid_field(std::string param, std::string message, std::string code = "invalid_value");
/// A 503 with `Retry-After` (at least one second).
ApiError overloaded(std::string code, std::string message, std::string hint, Nanos retry_after);
/// 401 for a request without a known API key; says nothing about the key. With `WWW-Authenticate`.
ApiError unauthorized();
/// 404 for a model that is not served here.
ApiError model_not_found(std::string_view asked, std::string_view served);
/// 404 or 405 for a path or a method that is not offered.
ApiError unknown_path(std::string_view path);
ApiError wrong_method(std::string_view method, std::string_view path);

/// The HTTP status of every code.
std::uint32_t http_status(Code code);
/// A failure of ours or of a worker. `status` must not be ok.
ApiError api_error(const Status& status);

/// The JSON body. Never fails: bytes that are not UTF-8 are replaced.
std::string error_body(const ApiError& error);
/// Content-Type, and Retry-After or WWW-Authenticate where they apply.
net::HttpHeaders error_headers(const ApiError& error);

}  // namespace mooncake::serve::openai
