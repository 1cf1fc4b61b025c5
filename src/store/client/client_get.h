// ClientGet: one get of the store client.
//
// Each item looks for its object where the location cache says, then where the directory says, then on the replicas
// that are left, and is a miss when none is left. Bytes that fail their crc32c are asked for once more, with the node
// checking its own; a replica that is really damaged is dropped by its node, and the next one asked.
#pragma once

#include <memory>
#include <vector>

#include "store/client/client_operation.h"

namespace mooncake::store {

std::shared_ptr<ClientOperation> make_client_get(std::shared_ptr<ClientContext> client,
                                                 const std::vector<GetItem>& items, Deadline deadline,
                                                 StoreClient::GetCallback done);

}  // namespace mooncake::store
