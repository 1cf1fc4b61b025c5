#include "transfer/handler_table.h"

namespace mooncake::transfer {

void HandlerTable::serve(std::uint16_t method, Handler handler) {
  MutexLock lock(mutex_);
  const bool added = handlers_.emplace(method, std::make_shared<const Handler>(std::move(handler))).second;
  CHECK(added);
}

void HandlerTable::on_peer_lost(PeerLostHandler handler) {
  MutexLock lock(mutex_);
  lost_.push_back(std::make_shared<const PeerLostHandler>(std::move(handler)));
}

bool HandlerTable::dispatch(PeerHandle from, std::uint32_t method, std::string payload, Responder::Send send,
                            bool here) {
  std::shared_ptr<const Handler> handler;
  {
    MutexLock lock(mutex_);
    const auto found = handlers_.find(method);
    if (found == handlers_.end()) return false;
    handler = found->second;
  }
  if (here) {
    (*handler)(from, std::move(payload), Responder(std::move(send)));
    return true;
  }
  executor_.post([handler = std::move(handler), from, payload = std::move(payload),
                  responder = Responder(std::move(send))]() mutable {
    (*handler)(from, std::move(payload), std::move(responder));
  });
  return true;
}

void HandlerTable::peer_lost(PeerHandle peer) {
  MutexLock lock(mutex_);
  for (const auto& handler : lost_) executor_.post([handler, peer] { (*handler)(peer); });
}

}  // namespace mooncake::transfer
