#include "cli/gateway_access.h"

#include <fmt/core.h>

#include <algorithm>
#include <cctype>
#include <nlohmann/json.hpp>

#include "base/text_file.h"
#include "cli/up/cluster_file.h"
#include "net/http_client.h"

namespace mooncake::cli {
namespace {

Result<std::string> read_api_key(const std::string& path) {
  MC_ASSIGN_OR_RETURN(std::string key, read_text_file(path, kApiKeyFileBytesMax, "API key"));
  while (!key.empty() && std::isspace(static_cast<unsigned char>(key.back())) != 0) key.pop_back();
  const bool printable = std::ranges::all_of(key, [](unsigned char c) { return std::isgraph(c) != 0; });
  if (!key.empty() && printable) return key;
  return Status(Code::kInvalidArgument, fmt::format("{} holds no API key: expected one line of printable characters "
                                                    "without spaces",
                                                    path));
}

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

}  // namespace

net::HttpHeaders GatewayAccess::headers() const {
  net::HttpHeaders headers = {{"content-type", "application/json"}};
  if (!api_key.empty()) headers.emplace_back("authorization", "Bearer " + api_key);
  return headers;
}

Result<GatewayAccess> gateway_access(const Invocation& invocation, std::string_view section) {
  GatewayAccess access;
  MC_ASSIGN_OR_RETURN(access.url, cluster_url(invocation, section));
  const std::string& key_file = invocation.config.text(fmt::format("{}.api_key_file", section));
  if (!key_file.empty()) {
    MC_ASSIGN_OR_RETURN(access.api_key, read_api_key(key_file));
  }
  return access;
}

Result<std::string> served_model(const GatewayAccess& gateway) {
  const std::string url = gateway.url + "/v1/models";
  const auto response = net::http_request("GET", url, gateway.headers(), "", SteadyClock().now() + Seconds(10));
  if (!response.ok()) return response.status().annotate(url);
  if (response->status != 200) {
    return Status(Code::kUnavailable, fmt::format("{} answered {}: {}", url, response->status, response->body));
  }
  const nlohmann::json json = nlohmann::json::parse(response->body, nullptr, false);
  if (json.is_object() && json.contains("data") && json["data"].is_array() && !json["data"].empty()) {
    const nlohmann::json& first = json["data"][0];
    if (first.is_object() && first.contains("id") && first["id"].is_string()) return first["id"].get<std::string>();
  }
  return Status(Code::kCorrupt, url + " lists no model");
}

}  // namespace mooncake::cli
