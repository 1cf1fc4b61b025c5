// Fetching the leading cached blocks of a chain from the store into a lease.
//
// A chain is usable only as far as it has no gap, so a miss, a corrupt or a late block ends it there: whoever fetches
// computes the rest. There is no error: the worst fetch is one of zero blocks.
#pragma once

#include <absl/functional/any_invocable.h>

#include <cstdint>
#include <vector>

#include "serve/worker/arena.h"
#include "serve/worker/worker_context.h"

namespace mooncake::serve {

struct FetchedBlock {
  std::uint32_t crc32c = 0;  ///< verified
  bool to_keep = false;      ///< another node's, and the directory has room for one holder more: a copy could stay here
};

/// The blocks that arrived, consecutive from the first one asked for.
using FetchedPrefix = std::vector<FetchedBlock>;

/// Asks the directory how far `keys` are cached and gets that many, into blocks `first_slot`, first_slot + 1, … of
/// `lease`. `done` runs on the loop, not inside this call. It stops trying at kFetchTimeout or `deadline`.
void fetch_prefix(const WorkerContext& context, std::vector<store::ObjectKey> keys, Arena::LeasePointer lease,
                  std::uint32_t first_slot, Deadline deadline, absl::AnyInvocable<void(FetchedPrefix)> done);

}  // namespace mooncake::serve
