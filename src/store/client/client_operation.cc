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
  std::vector<std::shared_ptr<NodeCall>> calls;
  for (const auto& [pointer, call] : calls_) {
    if (std::shared_ptr<NodeCall> alive = call.lock()) calls.push_back(std::move(alive));
  }
  while (!unsent_.empty()) calls.push_back(prepare_next());
  if (calls.empty()) return give_up({Code::kCancelled, "the store client has ended"});
  for (const std::shared_ptr<NodeCall>& call : calls) call->cancel();
}

void ClientOperation::send(const std::shared_ptr<NodeCall>& call, const std::string& endpoint, std::uint16_t method,
                           std::string payload, std::function<void(Result<std::string>)> answered) {
  unsent_.push_back({call, endpoint, method, std::move(payload), std::move(answered)});
  send_next();
}

std::shared_ptr<NodeCall> ClientOperation::prepare_next() {
  Unsent next = std::move(unsent_.front());
  unsent_.pop_front();
  NodeCall* const call = next.call.get();
  calls_.emplace(call, next.call);
  call->prepare(std::move(next.endpoint), next.method, std::move(next.payload),
                [self = shared_from_this(), call, answered = std::move(next.answered)](Result<std::string> answer) {
                  self->calls_.erase(call);
                  answered(std::move(answer));
                  self->went_on();
                });
  return next.call;
}

void ClientOperation::send_next() {
  if (unsent_.empty() || calls_.size() >= kCallsInFlightMax) return;
  prepare_next()->send(deadline_);
}

void ClientOperation::went_on() {
  if (finished_) return;
  if (round_in_flight()) return send_next();
  if (cancelled_) return give_up({Code::kCancelled, "the store client has ended"});
  round();
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
