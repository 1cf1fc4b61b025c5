// `mooncake kv why REQUEST_ID`: asks the gateway for its decision and explains it.
#include <fmt/core.h>

#include <algorithm>
#include <cctype>

#include "cli/decision_view.h"
#include "cli/gateway_access.h"
#include "cli/tool_commands.h"
#include "net/http_client.h"

namespace mooncake::cli {
namespace {

constexpr Seconds kAnswerWait{10};

/// What may stand in a URL's path as it is; the gateway's own ids consist of these.
bool plain(const std::string& id) {
  return !id.empty() && std::all_of(id.begin(), id.end(), [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '-' || c == '_' || c == '.';
  });
}

Result<std::string> explain(const Invocation& invocation, const std::string& id) {
  MC_ASSIGN_OR_RETURN(const GatewayAccess gateway, gateway_access(invocation, "kv"));
  if (!plain(id))
    return Status(Code::kInvalidArgument, fmt::format("\"{}\" is no request id (the header x-request-id)", id));
  MC_ASSIGN_OR_RETURN(const net::HttpResponse response,
                      net::http_request("GET", gateway.url + "/mooncake/decisions/" + id, gateway.headers(), "",
                                        SteadyClock().now() + kAnswerWait));
  if (response.status == 404) {
    return Status(Code::kNotFound, fmt::format("the gateway at {} remembers no request {}", gateway.url, id));
  }
  if (response.status != 200) {
    return Status(Code::kUnavailable, fmt::format("{} answered {}: {}", gateway.url, response.status, response.body));
  }
  return decision_view(response.body);
}

}  // namespace

int run_kv_why(const Invocation& invocation) {
  auto page = explain(invocation, invocation.arguments.front());
  if (!page.ok()) return fail(page.status());
  fmt::print("{}", *page);
  return kExitOk;
}

}  // namespace mooncake::cli
