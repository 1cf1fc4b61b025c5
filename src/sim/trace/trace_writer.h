// Writes traces in the form that trace_reader.h reads.
#pragma once

#include <string>

#include "sim/trace/trace.h"

namespace mooncake::sim {

/// A line for each request, in the trace's order. Times are rounded to microseconds. Pure.
std::string trace_text(const Trace& trace);

}  // namespace mooncake::sim
