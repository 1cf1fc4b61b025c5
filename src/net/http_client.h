// HttpClient: one blocking HTTP/1.1 request, whole or streamed line by line, by Boost.Beast. For the command-line tools
// and tests; services talk to each other through transfer/.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "base/time.h"
#include "net/http_server.h"

namespace mooncake::net {

struct HttpResponse {
  std::uint32_t status = 0;
  std::map<std::string, std::string, std::less<>> headers;  ///< names in lower case
  std::string body;                                         ///< empty when streamed
};

/// Called with each piece of the body as it arrives. Return false to stop and close the connection.
using HttpBodySink = std::function<bool(std::string_view piece)>;

/// Sends `method` to `url` ("http://host:port/path") and waits for the answer. With a sink the body goes there.
/// @return kUnavailable if nobody answers, kDeadlineExceeded, kCancelled if the sink said stop, kPeerLost if the
/// connection broke in mid-answer. HTTP error statuses are answers, not errors. Blocking; thread-safe.
Result<HttpResponse> http_request(std::string_view method, std::string_view url, const HttpHeaders& headers,
                                  std::string_view body, Deadline deadline, const HttpBodySink& sink = {});

}  // namespace mooncake::net
