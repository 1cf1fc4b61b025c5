#include "cli/cluster_url.h"

#include <fmt/core.h>

#include <nlohmann/json.hpp>

#include "cli/up/cluster_file.h"
#include "net/http_client.h"

namespace mooncake::cli {

Result<std::string> cluster_url(const Invocation& invocation, std::string_view section) {
  std::string url = invocation.config.text(fmt::format("{}.url", section));
  if (url.empty()) {
    std::string dir = invocation.config.text(fmt::format("{}.run_dir", section));
    if (dir.empty()) dir = default_run_dir(invocation.environment);
    return read_cluster_url(dir + "/cluster.json");
  }
  while (url.ends_with('/')) url.pop_back();
  return url;
}

Result<std::string> served_model(const std::string& url) {
  auto response = net::http_request("GET", url + "/v1/models", {}, "", SteadyClock().now() + Seconds(10));
  if (!response.ok()) return response.status();
  const nlohmann::json json = nlohmann::json::parse(response->body, nullptr, false);
  if (json.is_object() && json.contains("data") && json["data"].is_array() && !json["data"].empty()) {
    return json["data"][0].value("id", "");
  }
  return Status(Code::kCorrupt, fmt::format("{} lists no model", url));
}

}  // namespace mooncake::cli
