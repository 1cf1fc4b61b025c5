// Board: what one decision looks at, gathered from instances, prefix index, load and bookings. Placement and admission
// see nothing else.
#pragma once

#include <cstdint>
#include <vector>

#include "base/time.h"
#include "conductor/bookings.h"
#include "conductor/conductor.h"
#include "conductor/instance_table.h"
#include "conductor/load_estimate.h"
#include "conductor/placement.h"
#include "kvcache/prefix_index.h"

namespace mooncake::conductor {

struct Board {
  PromptFacts prompt;
  std::vector<PrefillFacts> prefill;  ///< usable instances, by ascending id
  std::vector<DecodeFacts> decode;    ///< likewise
};

/// Where a Board's facts come from; all borrowed.
struct BoardSources {
  const InstanceTable& instances;
  const kvcache::PrefixIndex& index;
  const kvcache::PrefixIndex& on_ssd;  ///< of the blocks in `index`, those that a node has on its SSDs only
  const LoadEstimate& load;
  Bookings& bookings;  ///< asking for a backlog expires what is over
  std::uint32_t block_tokens = 1;
  std::uint32_t computed_tokens_min = 0;
};

Board gather(const BoardSources& sources, const RequestView& request, Instant now);

}  // namespace mooncake::conductor
