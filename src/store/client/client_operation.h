// ClientOperation: a put or a get of the store client, in rounds: each round sends messages to nodes, and when the last
// of them is back the next one deals with what failed.
//
// Threads: everything on the engine's executor. Held by shared_ptr: by the callbacks that it waits for.
#pragma once

#include <absl/container/flat_hash_map.h>
#include <absl/container/flat_hash_set.h>

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>

#include "store/client/locator.h"
#include "store/client/node_call.h"
#include "transfer/transfer_engine.h"

namespace mooncake::store {

class ClientOperation;

/// Messages of one operation in flight; the others wait. 16 MiB keep a connection busy, and a large batch does not fill
/// the queues that other operations share with it.
inline constexpr std::size_t kCallsInFlightMax = 16;

/// What the operations of one client share.
struct ClientContext {
  StoreClientConfig config;
  transfer::TransferEngine& engine;
  std::shared_ptr<Locator> locator;  // shared: callbacks of the engine find it by weak_ptr
  bool stopped = false;
  absl::flat_hash_set<ClientOperation*> operations;  // that have not finished
};

class ClientOperation : public std::enable_shared_from_this<ClientOperation> {
 public:
  ClientOperation(std::shared_ptr<ClientContext> client, Deadline deadline);
  virtual ~ClientOperation();

  virtual void start() = 0;
  /// Ends everything that is unfinished with kCancelled, as soon as the buffers are back. The engine is not touched
  /// afterwards.
  void cancel();

 protected:
  /// Sends what is to be sent next, or concludes.
  virtual void round() = 0;
  /// Gives every unfinished item this status and concludes.
  virtual void give_up(const Status& status) = 0;

  /// Adds a call to this round. `answered` runs when it is back; after the last one's the next round begins.
  void send(const std::shared_ptr<NodeCall>& call, const std::string& endpoint, std::uint16_t method,
            std::string payload, std::function<void(Result<std::string>)> answered);
  [[nodiscard]] bool round_in_flight() const { return !calls_.empty() || !unsent_.empty(); }
  [[nodiscard]] bool cancelled() const { return cancelled_; }
  [[nodiscard]] bool too_late() const;
  [[nodiscard]] std::int64_t remaining() const;
  /// To be called once, before the user's callback.
  void finished();
  [[nodiscard]] bool is_finished() const { return finished_; }

  const std::shared_ptr<ClientContext> client_;  // shared with the StoreClient, which may end first
  const Deadline deadline_;

 private:
  struct Unsent {
    std::shared_ptr<NodeCall> call;
    std::string endpoint;
    std::uint16_t method;
    std::string payload;
    std::function<void(Result<std::string>)> answered;
  };
  std::shared_ptr<NodeCall> prepare_next();
  void send_next();
  /// A call is back: sends the next one, or begins the next round.
  void went_on();

  // Calls own us, through their callbacks, and the engine owns them: so what it throws away at its end is all gone. We
  // own only what has no callback yet.
  absl::flat_hash_map<NodeCall*, std::weak_ptr<NodeCall>> calls_;  // of this round, sent and not back yet
  std::deque<Unsent> unsent_;                                      // of this round, waiting for their turn
  bool cancelled_ = false;
  bool finished_ = false;
};

}  // namespace mooncake::store
