// Copying blocks from other nodes to the worker's own one: ahead of requests that will want them there, and after one
// that did.
#pragma once

#include <span>
#include <vector>

#include "serve/worker/prefix_fetch.h"
#include "serve/worker/worker_context.h"

namespace mooncake::serve {

/// Gets as many of the consecutive blocks as the store holds, into `memory`, which has room for all of them, and puts
/// copies to the node that the worker is attached to. Replies how many are put then: as StoreClient::replicate means
/// it, so those that were there count, too. To be called on the loop; the reply comes within kFetchTimeout +
/// kPublishTimeout. `memory` is held until then.
void replicate_blocks(const WorkerContext& context, std::vector<store::ObjectKey> keys, Arena::LeasePointer memory,
                      transfer::Responder responder);

/// Puts copies of those blocks of a fetched prefix that are to be kept; block i, named keys[i], lies in slot i of
/// `lease`, all of which is held until the puts are over, kPublishTimeout at most. Best effort: the next prompt that
/// wants them there fetches them, as this one did. So what is fetched goes where it is used, up to what the directory
/// remembers (FAST'25, section 6.2).
void keep_fetched_blocks(const WorkerContext& context, std::span<const store::ObjectKey> keys,
                         const FetchedPrefix& prefix, const Arena::LeasePointer& lease);

}  // namespace mooncake::serve
