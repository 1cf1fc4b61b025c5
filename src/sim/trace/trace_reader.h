// Reads traces in the form in which the Mooncake authors publish them: a JSON object a line,
//
//   {"timestamp": 27482, "input_length": 6955, "output_length": 52, "hash_ids": [46, 47, 2353]}
//
// with milliseconds since the trace began, tokens, and one id for each 512 tokens of the prompt, the last block
// partial. Ours may also have a "tenant", a name or a number, and a "priority", which is low, normal or high. Other
// members are passed over. A source that begins with the header of the Azure traces is read as one of
// those instead (azure_reader.h).
//
// Source: github.com/kvcache-ai/Mooncake, FAST25-release/traces.
#pragma once

#include <istream>
#include <string>

#include "base/status.h"
#include "conductor/tenant.h"
#include "sim/trace/trace.h"

namespace mooncake::sim {

/// A million tokens are 2,000 ids, 20 KB. A longer line is no trace.
inline constexpr std::size_t kTraceLineBytesMax = 16u << 20;
/// A year at 3 requests a second; 4 GB of memory.
inline constexpr std::size_t kTraceRequestsMax = 100'000'000;
/// As a gateway's, and requests of none.
inline constexpr std::size_t kTraceTenantsMax = conductor::kTenantsMax + 1;

/// Reads a whole trace. Pure but for the stream.
/// @return kInvalidArgument for a line that is no request, with its number, the member and what was expected there;
/// also for a source without requests.
Result<Trace> read_trace(std::istream& source);

/// As above, from a file. @return kNotFound if it cannot be read.
Result<Trace> read_trace_file(const std::string& path);

}  // namespace mooncake::sim
