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
#include <vector>

#include "store/client/locator.h"
#include "store/client/node_call.h"
#include "store/wire.h"
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
  /// Sends the items `wanted` to a node, in as few messages as the limits of one allow. `value_bytes(i)`: the size of
  /// an item's value. `add(i, request, buffers)` puts it into a message; it returns false when that failed and the item
  /// is finished instead. `answered(part, answer)` runs once for each message, with the items that were in it.
  template <typename Request, typename ValueBytes, typename Add, typename Answered>
  void send_in_parts(const std::string& endpoint, std::uint16_t method, const std::vector<std::size_t>& wanted,
                     ValueBytes value_bytes, Add add, Answered answered) {
    std::size_t at = 0;
    while (at < wanted.size()) {
      const auto call = std::make_shared<NodeCall>(client_->engine);  // shared: see NodeCall
      Request request;
      request.set_deadline_ms(remaining());
      std::vector<std::size_t> part;
      std::size_t bytes = 0;
      for (; at < wanted.size() && part.size() < kItemsPerMessageMax; ++at) {
        const std::size_t value = value_bytes(wanted[at]);
        const std::size_t size = kItemOverheadBytes + (travels_inline(value) ? value : 0);
        if (bytes + size > kItemBytesPerMessageMax) break;
        if (!add(wanted[at], request, call->buffers())) continue;
        bytes += size;
        part.push_back(wanted[at]);
      }
      if (part.empty()) continue;
      send(call, endpoint, method, request.SerializeAsString(),
           [answered, part](const Result<std::string>& answer) { answered(part, answer); });
    }
  }
  [[nodiscard]] static bool travels_inline(std::size_t value_bytes) { return value_bytes <= kInlineBytesMax; }
  /// Lends `value` for the call, unless it travels inside the message (then: no segment).
  static Result<transfer::SegmentHandle> lend(ByteSpan value, transfer::Access access, LentBuffers& buffers) {
    if (travels_inline(value.size())) return transfer::SegmentHandle{};
    return buffers.lend(value, access);
  }
  /// What a message says of every item.
  template <typename Item>
  static void describe(const ObjectKey& key, std::size_t bytes, const transfer::SegmentHandle& segment, Item& item) {
    item.set_key_high(key.high);
    item.set_key_low(key.low);
    item.set_bytes(bytes);
    item.set_segment_index(segment.index);
    item.set_segment_generation(segment.generation);
  }
  /// The reply, if it is one for that many items.
  template <typename Reply>
  static Result<Reply> parse_reply(const Result<std::string>& answer, std::size_t items) {
    if (!answer.ok()) return answer.status();
    Result<Reply> reply = parse<Reply>(*answer);
    if (reply.ok() && static_cast<std::size_t>(reply->items_size()) != items) {
      return Status(Code::kInternal, "a node answered for another number of items");
    }
    return reply;
  }
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
