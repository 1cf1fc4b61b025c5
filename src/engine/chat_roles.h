// The roles that a message of a conversation may have, for every engine alike.
#pragma once

#include <span>

#include "base/status.h"
#include "engine/tokenizer.h"

namespace mooncake::engine {

/// @return kInvalidArgument for a role other than system, user and assistant, or for no message at all.
Status check_roles(std::span<const ChatMessage> messages);

}  // namespace mooncake::engine
