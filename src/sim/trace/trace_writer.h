// Writes traces in the form that trace_reader.h reads.
#pragma once

#include <ostream>

#include "sim/trace/trace.h"

namespace mooncake::sim {

/// A line for each request, in the trace's order. Times are rounded to microseconds.
void write_trace(const Trace& trace, std::ostream& out);

}  // namespace mooncake::sim
