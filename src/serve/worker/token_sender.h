// TokenSender: answer tokens on their way to the gateways.
//
// One call a gateway is in flight; tokens that come meanwhile gather and leave together with the next, so that a slow
// gateway costs fewer, larger messages and never a queue without end: at kPendingEventsMax, or when a call fails, the
// gateway counts as lost and its events are dropped. Within a request, events arrive in the order of push().
//
// Thread-compatible: one owner, the executor of the transfer engine.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "base/executor.h"
#include "serve/worker/protocol.h"
#include "transfer/transfer_engine.h"

namespace mooncake::serve {

/// 64 sequences at 100 tokens a second fill this in 10 s, when any call has timed out.
inline constexpr std::size_t kPendingEventsMax = 65'536;
/// Half of a message, because sizes are estimated.
inline constexpr std::size_t kTokenBatchBytesMax = transfer::kMessageBytesMax / 2;
/// A gateway only files tokens away; one that has not done so by then hangs.
inline constexpr Seconds kTokensTimeout{10};

class TokenSender : public std::enable_shared_from_this<TokenSender> {
 public:
  struct Callbacks {
    /// The gateway cannot be told anything any more. Never inside push(): on the executor, soon after.
    std::function<void(const transfer::PeerName& gateway, const Status& why)> lost;
    /// The gateway does not know the request (any more).
    std::function<void(const RequestId& id)> unknown;
  };
  static std::shared_ptr<TokenSender> create(transfer::TransferEngine& transfer, Executor& executor,
                                             Callbacks callbacks);

  /// Connects, so that the gateway's end is noticed even while there is nothing to say.
  void watch(const transfer::PeerName& gateway);
  void push(const transfer::PeerName& gateway, TokenEvent event);
  /// To be told of every peer that is lost.
  void on_peer_lost(transfer::PeerHandle peer);
  /// True when everything pushed has been delivered or dropped.
  [[nodiscard]] bool idle() const;

 private:
  struct Gateway {
    transfer::PeerHandle peer;
    std::deque<TokenEvent> pending;
    bool calling = false;
    std::uint64_t epoch = 0;  // of this entry: a reply to an earlier one is ignored
  };
  TokenSender(transfer::TransferEngine& transfer, Executor& executor, Callbacks callbacks);
  Gateway& entry(const transfer::PeerName& name);
  void flush(const transfer::PeerName& name);
  void on_reply(const transfer::PeerName& name, std::uint64_t epoch, Result<std::string> reply);
  void lose(transfer::PeerName gateway, const Status& why);

  transfer::TransferEngine& transfer_;
  Executor& executor_;
  Callbacks callbacks_;
  std::map<transfer::PeerName, Gateway> gateways_;
  std::uint64_t epochs_ = 0;
};

}  // namespace mooncake::serve
