#include "serve/worker/token_sender.h"

#include <algorithm>
#include <utility>
#include <vector>

#include <fmt/core.h>

#include "serve/methods.h"

namespace mooncake::serve {

std::shared_ptr<TokenSender> TokenSender::create(transfer::TransferEngine& transfer, Executor& executor,
                                                 Callbacks callbacks) {
  return std::shared_ptr<TokenSender>(new TokenSender(transfer, executor, std::move(callbacks)));
}

TokenSender::TokenSender(transfer::TransferEngine& transfer, Executor& executor, Callbacks callbacks)
    : transfer_(transfer), executor_(executor), callbacks_(std::move(callbacks)) {}

TokenSender::Gateway& TokenSender::entry(const transfer::PeerName& name) {
  const auto [at, fresh] = gateways_.try_emplace(name);
  if (fresh) at->second.epoch = ++epochs_;
  return at->second;
}

void TokenSender::watch(const transfer::PeerName& gateway) {
  Gateway& to = entry(gateway);
  // A name that is none shows at the first push: there the owner expects to be called back.
  if (auto peer = transfer_.connect(gateway); peer.ok()) to.peer = *peer;
}

void TokenSender::push(const transfer::PeerName& gateway, TokenEvent event) {
  Gateway& to = entry(gateway);
  if (to.pending.size() >= kPendingEventsMax) {
    lose(gateway, Status(Code::kExhausted, fmt::format("{} tokens wait for the gateway", to.pending.size())));
    return;
  }
  to.pending.push_back(std::move(event));
  if (!to.calling) flush(gateway);
}

void TokenSender::flush(const transfer::PeerName& name) {
  Gateway& to = entry(name);
  std::vector<TokenEvent> batch;
  std::size_t bytes = 0;
  while (!to.pending.empty() && bytes < kTokenBatchBytesMax) {
    TokenEvent& event = to.pending.front();
    bytes += 64 + event.id.size() + std::min(event.error.message().size(), kEventMessageBytesMax);
    batch.push_back(std::move(event));
    to.pending.pop_front();
  }
  if (batch.empty()) return;
  const auto peer = transfer_.connect(name);
  if (!peer.ok()) {
    lose(name, peer.status());
    return;
  }
  to.peer = *peer;
  to.calling = true;
  transfer_.call(*peer, kMethodTokens, encode(batch), executor_.clock().now() + kTokensTimeout,
                 [weak = weak_from_this(), name, epoch = to.epoch](Result<std::string> reply) {
                   if (const auto self = weak.lock()) self->on_reply(name, epoch, std::move(reply));
                 });
}

void TokenSender::on_reply(const transfer::PeerName& name, std::uint64_t epoch, Result<std::string> reply) {
  const auto at = gateways_.find(name);
  if (at == gateways_.end() || at->second.epoch != epoch) return;
  at->second.calling = false;
  if (!reply.ok()) {
    lose(name, reply.status());
    return;
  }
  const auto unknown = parse_tokens_reply(*reply);
  if (!unknown.ok()) {
    lose(name, unknown.status());
    return;
  }
  flush(name);
  for (const RequestId& id : *unknown) callbacks_.unknown(id);
}

void TokenSender::on_peer_lost(transfer::PeerHandle peer) {
  const auto at = std::find_if(gateways_.begin(), gateways_.end(),
                               [&](const auto& gateway) { return gateway.second.peer == peer; });
  if (at == gateways_.end()) return;
  lose(at->first, Status(Code::kPeerLost, "the gateway's connection ended"));
}

void TokenSender::lose(transfer::PeerName gateway, const Status& why) {
  gateways_.erase(gateway);
  executor_.post([weak = weak_from_this(), gateway = std::move(gateway), why] {
    if (const auto self = weak.lock()) self->callbacks_.lost(gateway, why);
  });
}

bool TokenSender::idle() const {
  return std::all_of(gateways_.begin(), gateways_.end(),
                     [](const auto& gateway) { return gateway.second.pending.empty() && !gateway.second.calling; });
}

}  // namespace mooncake::serve
