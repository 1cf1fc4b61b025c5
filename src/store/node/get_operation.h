// A get message on its node: pin what is here, write it into the caller's memory (or the reply), unpin, reply.
//
// A pin lasts as long as the transfer, and the transfer as long as the caller's connection: so a caller that dies in
// the middle frees what it held.
#pragma once

#include <memory>
#include <string>

#include "store/node/node_context.h"
#include "transfer/transfer_engine.h"

namespace mooncake::store {

/// Handles one message of kMethodGet.
void start_get(const std::shared_ptr<NodeContext>& node, transfer::PeerHandle caller, const std::string& payload,
               transfer::Responder responder);

}  // namespace mooncake::store
