#include "store/client/node_call.h"

#include <utility>

namespace mooncake::store {

void NodeCall::prepare(std::string endpoint, std::uint16_t method, std::string payload, transfer::CallCallback done) {
  endpoint_ = std::move(endpoint);
  method_ = method;
  payload_ = std::move(payload);
  done_ = std::move(done);
}

void NodeCall::send(Deadline deadline) {
  const Result<transfer::PeerHandle> node = engine_.connect(endpoint_);
  // An unusable address shows like an unreachable node: on the call.
  engine_.call(node.ok() ? *node : transfer::PeerHandle{}, method_, std::move(payload_), deadline,
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
