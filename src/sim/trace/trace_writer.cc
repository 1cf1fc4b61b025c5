#include "sim/trace/trace_writer.h"

#include <fmt/core.h>
#include <fmt/ranges.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <string>

namespace mooncake::sim {
namespace {

std::string quoted(const std::string& text) {
  using Json = nlohmann::json;
  return Json(text).dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace

void write_trace(const Trace& trace, std::ostream& out) {
  for (const TraceRequest& request : trace.requests) {
    out << fmt::format("{{\"timestamp\": {}, \"input_length\": {}, \"output_length\": {}, \"hash_ids\": [{}]",
                       std::round(to_ms(request.arrival) * 1e3) / 1e3, request.input_tokens, request.output_tokens,
                       fmt::join(trace.blocks_of(request), ", "));
    if (request.tenant != 0) out << ", \"tenant\": " << quoted(trace.tenants[request.tenant]);
    if (request.priority != conductor::Priority::kNormal) {
      out << fmt::format(", \"priority\": \"{}\"", conductor::priority_name(request.priority));
    }
    out << "}\n";
  }
}

}  // namespace mooncake::sim
