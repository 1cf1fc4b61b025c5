#include "sim/trace/trace_reader.h"

#include <absl/container/flat_hash_map.h>
#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>

#include "sim/trace/azure_reader.h"

namespace mooncake::sim {
namespace {

using Json = nlohmann::json;

/// A thousand years; beyond it nanoseconds would overflow.
constexpr double kTimestampMsMax = 1e3 * 365 * 86'400e3;

class Reader {
 public:
  /// Takes one line. @return why it is no request, if it is none.
  std::optional<std::string> add(std::string_view line) {
    if (trace_.requests.size() == kTraceRequestsMax) return fmt::format("more than {} requests", kTraceRequestsMax);
    return azure_ ? add_azure(line) : add_json(line);
  }
  /// Lines from here on are Azure's.
  void expect_azure() { azure_ = true; }
  Trace finish() {
    trace_.distinct_blocks = static_cast<std::uint32_t>(numbers_.size());
    if (azure_) begin_with_the_earliest();
    return std::move(trace_);
  }

 private:
  std::optional<std::string> add_json(std::string_view line) {
    const Json json = Json::parse(line, nullptr, /*allow_exceptions=*/false);
    if (!json.is_object()) return "expected a JSON object with timestamp, input_length, output_length and hash_ids";
    TraceRequest request{.first_block = trace_.blocks.size()};
    if (auto wrong = read_time(json, request)) return wrong;
    if (auto wrong = read_length(json, "input_length", 1, request.input_tokens)) return wrong;
    if (auto wrong = read_length(json, "output_length", 0, request.output_tokens)) return wrong;
    if (auto wrong = read_blocks(json, request)) return wrong;
    if (auto wrong = read_tenant(json, request)) return wrong;
    if (auto wrong = read_priority(json, request)) return wrong;
    trace_.requests.push_back(request);
    return std::nullopt;
  }
  std::optional<std::string> add_azure(std::string_view line) {
    const auto request = parse_azure_line(line);
    if (!request.ok()) return request.status().message();
    trace_.requests.push_back(*request);
    return std::nullopt;
  }
  void begin_with_the_earliest() {
    Nanos first = Nanos::max();
    for (const TraceRequest& request : trace_.requests) first = std::min(first, request.arrival);
    for (TraceRequest& request : trace_.requests) request.arrival -= first;
  }
  static std::optional<std::string> read_time(const Json& json, TraceRequest& request) {
    const auto found = json.find("timestamp");
    if (found == json.end() || !found->is_number()) return "expected milliseconds in \"timestamp\"";
    const auto ms = found->get<double>();
    if (!(ms >= 0) || ms > kTimestampMsMax) return fmt::format("\"timestamp\" of {} ms is out of range", ms);
    request.arrival = from_ms(ms);
    return std::nullopt;
  }
  static std::optional<std::string> read_length(const Json& json, const char* name, std::uint64_t min,
                                                std::uint32_t& length) {
    constexpr std::uint64_t kMax = std::numeric_limits<std::int32_t>::max();
    const auto found = json.find(name);
    if (found == json.end() || !found->is_number_unsigned() || found->get<std::uint64_t>() < min ||
        found->get<std::uint64_t>() > kMax) {
      return fmt::format("expected a number of tokens, {} to {}, in \"{}\"", min, kMax, name);
    }
    length = found->get<std::uint32_t>();
    return std::nullopt;
  }
  std::optional<std::string> read_blocks(const Json& json, TraceRequest& request) {
    const auto found = json.find("hash_ids");
    if (found == json.end() || !found->is_array()) return "expected a list of block ids in \"hash_ids\"";
    for (const Json& id : *found) {
      if (!id.is_number_unsigned()) return "\"hash_ids\" holds something that is no block id";
      const auto number = static_cast<TraceBlock>(numbers_.size());
      trace_.blocks.push_back(numbers_.try_emplace(id.get<std::uint64_t>(), number).first->second);
    }
    request.block_count = static_cast<std::uint32_t>(found->size());
    return std::nullopt;
  }

  std::optional<std::string> read_tenant(const Json& json, TraceRequest& request) {
    const auto found = json.find("tenant");
    if (found == json.end() || found->is_null()) return std::nullopt;
    if (!found->is_string() && !found->is_number_unsigned()) return "expected a name or a number in \"tenant\"";
    const std::string name = found->is_string() ? found->get<std::string>() : found->dump();
    const auto known = std::ranges::find(trace_.tenants, name);
    request.tenant = static_cast<std::uint16_t>(known - trace_.tenants.begin());
    if (known != trace_.tenants.end()) return std::nullopt;
    if (trace_.tenants.size() == kTraceTenantsMax) return fmt::format("more than {} tenants", kTraceTenantsMax - 1);
    trace_.tenants.push_back(name);
    return std::nullopt;
  }
  static std::optional<std::string> read_priority(const Json& json, TraceRequest& request) {
    const auto found = json.find("priority");
    if (found == json.end() || found->is_null()) return std::nullopt;
    const auto priority = conductor::parse_priority(found->is_string() ? found->get<std::string>() : found->dump());
    if (!priority.ok()) return priority.status().message();
    request.priority = *priority;
    return std::nullopt;
  }

  Trace trace_;
  bool azure_ = false;
  absl::flat_hash_map<std::uint64_t, TraceBlock> numbers_;  // by the source's ids
};

}  // namespace

Result<Trace> read_trace(std::istream& source) {
  Reader reader;
  std::vector<char> buffer(kTraceLineBytesMax + 1);
  bool any = false;
  for (std::uint64_t number = 1; source.getline(buffer.data(), static_cast<std::streamsize>(buffer.size())); ++number) {
    const std::string_view line(buffer.data());
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    if (!any && line.starts_with(kAzureHeader)) {
      reader.expect_azure();
      continue;
    }
    if (const auto wrong = reader.add(line)) {
      return Status(Code::kInvalidArgument, fmt::format("line {}: {}", number, *wrong));
    }
    any = true;
  }
  // A line that does not fit leaves `fail` without `eof`.
  if (!source.eof()) {
    return Status(Code::kInvalidArgument, fmt::format("a line is longer than {} bytes", kTraceLineBytesMax));
  }
  if (!any) return Status(Code::kInvalidArgument, "the trace has no requests");
  return reader.finish();
}

Result<Trace> read_trace_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return Status(Code::kNotFound, fmt::format("the trace {} cannot be read", path));
  auto trace = read_trace(file);
  if (!trace.ok()) return trace.status().annotate(path);
  return trace;
}

}  // namespace mooncake::sim
