// Reads a line of the Azure LLM inference traces:
//
//   TIMESTAMP,ContextTokens,GeneratedTokens
//   2023-11-16 18:15:46.6805900,374,44
//
// with dates in UTC, with or without an offset of zero behind them. They say nothing of what prompts share, so their
// requests have no blocks, and nothing of them is found in a cache.
//
// Pure. Source: github.com/Azure/AzurePublicDataset, AzureLLMInferenceDataset2023.md.
#pragma once

#include <string>
#include <string_view>

#include "base/status.h"
#include "sim/trace/trace.h"

namespace mooncake::sim {

/// What the first line of such a trace begins with.
inline constexpr std::string_view kAzureHeader = "TIMESTAMP,ContextTokens,GeneratedTokens";

/// The request of one line after the first; its arrival is nanoseconds since 1970.
/// @return kInvalidArgument, saying what was expected.
Result<TraceRequest> parse_azure_line(std::string_view line);

}  // namespace mooncake::sim
