#include "cli/up/cluster_file.h"

#include <fmt/core.h>

#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

namespace mooncake::cli {
namespace {

using Json = nlohmann::ordered_json;

std::string text_or_empty(const Json& object, const char* key) {
  const auto at = object.find(key);
  return at != object.end() && at->is_string() ? at->get<std::string>() : "";
}

/// Text from other processes may be any bytes; JSON must be UTF-8.
std::string dump(const Json& value, int indent = -1) {
  return value.dump(indent, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace

std::string cluster_json(std::string_view url, const std::vector<ClusterEntry>& entries) {
  Json processes = Json::array();
  for (const ClusterEntry& entry : entries) {
    processes.push_back({{"role", entry.role},
                         {"name", entry.name},
                         {"pid", entry.pid},
                         {"endpoint", entry.endpoint},
                         {"metrics", entry.metrics}});
  }
  return dump({{"url", url}, {"processes", std::move(processes)}}, 2);
}

Result<std::string> read_cluster_url(const std::string& cluster_file) {
  std::ifstream in(cluster_file);
  if (!in) {
    return Status(
        Code::kNotFound,
        fmt::format("no cluster is up: there is no {} (start one with `mooncake up`, or give --url)", cluster_file));
  }
  const std::string text(std::istreambuf_iterator<char>(in), {});
  const Json json = Json::parse(text, nullptr, false);
  std::string url = json.is_object() ? text_or_empty(json, "url") : "";
  if (url.empty()) return Status(Code::kCorrupt, fmt::format("{} names no url", cluster_file));
  return url;
}

std::string ready_line(const ReadyLine& ready) {
  return dump({{"role", ready.role}, {"endpoint", ready.endpoint}, {"metrics", ready.metrics}, {"model", ready.model}});
}

std::string ready_error_line(std::string_view message) { return dump({{"error", message}}); }

Result<ReadyLine> parse_ready_line(std::string_view line) {
  const Json json = Json::parse(line, nullptr, false);
  if (json.is_object()) {
    if (std::string error = text_or_empty(json, "error"); !error.empty()) {
      return Status(Code::kUnavailable, std::move(error));
    }
    ReadyLine ready{.role = text_or_empty(json, "role"),
                    .endpoint = text_or_empty(json, "endpoint"),
                    .metrics = text_or_empty(json, "metrics"),
                    .model = text_or_empty(json, "model")};
    if (!ready.endpoint.empty()) return ready;
  }
  return Status(Code::kCorrupt, fmt::format("not a line that says ready: {:.200}", line));
}

}  // namespace mooncake::cli
