// submit_all: transfers of any number of requests, as one.
#pragma once

#include <vector>

#include "transfer/transfer_engine.h"

namespace mooncake::store {

/// Submits the requests in batches of at most kBatchRequestsMax and calls `done` once, when the last batch has let go
/// of its memory, with the first failure if any. With no requests `done` is called before this returns.
void submit_all(transfer::TransferEngine& engine, transfer::PeerHandle peer,
                const std::vector<transfer::TransferRequest>& requests, Deadline deadline,
                transfer::BatchCallback done);

}  // namespace mooncake::store
