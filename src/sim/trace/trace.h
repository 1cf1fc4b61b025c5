// Trace: requests that arrived somewhere, with the blocks of their prompts: what every simulation replays.
//
// Block ids of the source are numbered anew from 0 in the order of their first appearance, so that simulations can use
// them as indices, and tenants likewise. All blocks lie in one array; a request names its range.
//
// Immutable once read; thread-compatible.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/time.h"
#include "conductor/priority.h"

namespace mooncake::sim {

/// A block of a trace: equal ids are equal tokens after equal tokens.
using TraceBlock = std::uint32_t;

/// Tokens of a block in published traces. Not the 64 of our own engines.
inline constexpr std::uint32_t kTraceBlockTokens = 512;

struct TraceRequest {
  Nanos arrival{};  ///< since the trace began
  std::uint32_t input_tokens = 0;
  std::uint32_t output_tokens = 0;  ///< how long the answer was; no scheduling decision may read it
  std::uint64_t first_block = 0;    ///< in Trace::blocks
  std::uint32_t block_count = 0;
  std::uint16_t tenant = 0;  ///< in Trace::tenants
  conductor::Priority priority = conductor::Priority::kNormal;
};

struct Trace {
  std::vector<TraceRequest> requests;  ///< in the order of the source
  std::vector<TraceBlock> blocks;
  std::vector<std::string> tenants = {""};  ///< names; the first is of requests without one
  std::uint32_t distinct_blocks = 0;        ///< ids are below this

  /// The request's blocks, the first tokens first.
  [[nodiscard]] std::span<const TraceBlock> blocks_of(const TraceRequest& request) const {
    return {blocks.data() + request.first_block, request.block_count};
  }
};

}  // namespace mooncake::sim
