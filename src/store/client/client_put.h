// ClientPut: one put of the store client.
//
// The directory is asked first: a key that some node holds is put already, and nothing is written. The rest goes to one
// node, or to another one if that cannot take it. A put to the preferred node ends only when that one holds the
// key, or has dropped it because enough others do.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "store/client/client_operation.h"

namespace mooncake::store {

/// Nodes that a put tries. A second one covers a node that just died; more would hide a cluster in trouble.
inline constexpr std::size_t kPutAttemptsMax = 2;

enum class PutTo : std::uint8_t { kAnyNode, kPreferredNode };

std::shared_ptr<ClientOperation> make_client_put(std::shared_ptr<ClientContext> client, PutTo to,
                                                 std::vector<PutItem> items, Deadline deadline,
                                                 StoreClient::PutCallback done);

}  // namespace mooncake::store
