#include "sim/trace/trace_writer.h"

#include <fmt/core.h>
#include <fmt/ranges.h>

#include <cmath>
#include <iterator>

namespace mooncake::sim {

std::string trace_text(const Trace& trace) {
  std::string text;
  for (const TraceRequest& request : trace.requests) {
    fmt::format_to(std::back_inserter(text),
                   "{{\"timestamp\": {}, \"input_length\": {}, \"output_length\": {}, \"hash_ids\": [{}]}}\n",
                   std::round(to_ms(request.arrival) * 1e3) / 1e3, request.input_tokens, request.output_tokens,
                   fmt::join(trace.blocks_of(request), ", "));
  }
  return text;
}

}  // namespace mooncake::sim
