// Copying blocks from other nodes to the worker's own one, ahead of requests that will want them there.
#pragma once

#include <vector>

#include "serve/worker/worker_context.h"

namespace mooncake::serve {

/// Gets as many of the consecutive blocks as the store holds, into `memory`, which has room for all of them, and puts
/// copies to the node that the worker is attached to. Replies how many are put then: as StoreClient::replicate means
/// it, so those that were there count, too. To be called on the loop; the reply comes within kFetchTimeout +
/// kPublishTimeout. `memory` is held until then.
void replicate_blocks(const WorkerContext& context, std::vector<store::ObjectKey> keys, Arena::LeasePointer memory,
                      transfer::Responder responder);

}  // namespace mooncake::serve
