#include "engine/chat_roles.h"

#include <fmt/core.h>

namespace mooncake::engine {

Status check_roles(std::span<const ChatMessage> messages) {
  if (messages.empty()) return Status(Code::kInvalidArgument, "a conversation needs at least one message");
  for (const ChatMessage& message : messages) {
    if (message.role != "system" && message.role != "user" && message.role != "assistant") {
      return Status(Code::kInvalidArgument,
                    fmt::format("unknown role \"{}\": use system, user or assistant", message.role));
    }
  }
  return {};
}

}  // namespace mooncake::engine
