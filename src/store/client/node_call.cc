#include "store/client/node_call.h"

#include <utility>

namespace mooncake::store {

void NodeCall::start(const std::string& endpoint, std::uint16_t method, std::string payload, Deadline deadline,
                     transfer::CallCallback done) {
  done_ = std::move(done);
  const Result<transfer::PeerHandle> node = engine_.connect(endpoint);
  // An unusable address shows like an unreachable node: on the call.
  engine_.call(node.ok() ? *node : transfer::PeerHandle{}, method, std::move(payload), deadline,
               [self = shared_from_this()](Result<std::string> answer) { self->end(std::move(answer)); });
}

void NodeCall::cancel() { end(Status(Code::kCancelled, "the store client has ended")); }

void NodeCall::end(Result<std::string> answer) {
  if (std::exchange(ended_, true)) return;
  buffers_.take_back([self = shared_from_this(), answer = std::move(answer)]() mutable {
    std::exchange(self->done_, nullptr)(std::move(answer));
  });
}

}  // namespace mooncake::store
