#include "sim/trace/trace_writer.h"

#include <fmt/core.h>
#include <fmt/ranges.h>

#include <cmath>

namespace mooncake::sim {

void write_trace(const Trace& trace, std::ostream& out) {
  for (const TraceRequest& request : trace.requests) {
    out << fmt::format("{{\"timestamp\": {}, \"input_length\": {}, \"output_length\": {}, \"hash_ids\": [{}]}}\n",
                       std::round(to_ms(request.arrival) * 1e3) / 1e3, request.input_tokens, request.output_tokens,
                       fmt::join(trace.blocks_of(request), ", "));
  }
}

}  // namespace mooncake::sim
