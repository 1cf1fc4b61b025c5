#include "store/client/client_operation.h"

#include <utility>
#include <vector>

namespace mooncake::store {

ClientOperation::ClientOperation(std::shared_ptr<ClientContext> client, Deadline deadline)
    : client_(std::move(client)), deadline_(deadline) {
  client_->operations.insert(this);
}

ClientOperation::~ClientOperation() { client_->operations.erase(this); }

void ClientOperation::cancel() {
  if (finished_) return;
  cancelled_ = true;
  const std::vector<std::shared_ptr<NodeCall>> calls(calls_.begin(), calls_.end());
  if (calls.empty()) return give_up({Code::kCancelled, "the store client has ended"});
  for (const std::shared_ptr<NodeCall>& call : calls) call->cancel();
}

void ClientOperation::send(const std::shared_ptr<NodeCall>& call, const std::string& endpoint, std::uint16_t method,
                           std::string payload, std::function<void(Result<std::string>)> answered) {
  calls_.insert(call);
  call->start(endpoint, method, std::move(payload), deadline_,
              [self = shared_from_this(), call, answered = std::move(answered)](Result<std::string> answer) {
                self->calls_.erase(call);
                answered(std::move(answer));
                if (!self->calls_.empty() || self->finished_) return;
                if (self->cancelled_) return self->give_up({Code::kCancelled, "the store client has ended"});
                self->round();
              });
}

bool ClientOperation::too_late() const { return client_->engine.executor().clock().now() >= deadline_; }

std::int64_t ClientOperation::remaining() const {
  return remaining_ms(deadline_, client_->engine.executor().clock().now());
}

void ClientOperation::finished() {
  CHECK(!finished_);
  finished_ = true;
  client_->operations.erase(this);
}

}  // namespace mooncake::store
