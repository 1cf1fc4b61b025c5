// A put message on its node: for each item, room in the pool, the bytes (from the message, or pulled from the caller's
// memory), their checksum, the commit, and the publication; then one reply.
//
// Items that find another put of their key under way wait for its end: they are done if it committed, and take their
// own turn if not. Items that find no room wait kRoomWaitMax for what is pinned. The caller's death fails the pull, and
// with it everything of this operation that is not committed.
#pragma once

#include <memory>
#include <string>

#include "store/node/node_context.h"
#include "transfer/transfer_engine.h"

namespace mooncake::store {

/// How long a put waits for pinned and pending objects to make room before it fails with kExhausted.
inline constexpr Millis kRoomWaitMax{2'000};

/// Handles one message of kMethodPut.
void start_put(const std::shared_ptr<NodeContext>& node, transfer::PeerHandle caller, const std::string& payload,
               transfer::Responder responder);

}  // namespace mooncake::store
