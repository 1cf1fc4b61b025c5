#include "store/node/put_operation.h"

#include <prometheus/counter.h>
#include <prometheus/histogram.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "base/crc32c.h"
#include "store/node/submit_all.h"
#include "store/wire.h"

namespace mooncake::store {
namespace {

class PutOperation : public std::enable_shared_from_this<PutOperation> {
 public:
  PutOperation(std::shared_ptr<NodeContext> node, transfer::PeerHandle caller, pb::PutRequest request,
               transfer::Responder responder)
      : node_(std::move(node)),
        caller_(caller),
        request_(std::move(request)),
        responder_(std::move(responder)),
        started_(node_->executor.clock().now()),
        deadline_(node_->deadline_after(request_.deadline_ms())),
        items_(static_cast<std::size_t>(request_.items_size())),
        unfinished_(items_.size()) {
    ++node_->operations;
  }
  ~PutOperation() { --node_->operations; }

  void start() {
    for (std::size_t i = 0; i < items_.size(); ++i) check_and_begin(i);
    pull();
    reply_if_done();
  }

 private:
  struct Item {
    ObjectId id = 0;
    bool done = false;
    Status status;
  };

  [[nodiscard]] const pb::PutRequest::Item& wire(std::size_t i) const { return request_.items(static_cast<int>(i)); }
  [[nodiscard]] Key128 key(std::size_t i) const { return {wire(i).key_high(), wire(i).key_low()}; }

  void check_and_begin(std::size_t i) {
    const pb::PutRequest::Item& item = wire(i);
    const bool inline_fits = item.value().empty() || item.value().size() == item.bytes();
    if (item.bytes() == 0 || item.bytes() > kObjectBytesMax || !inline_fits) {
      return finish(i, {Code::kInvalidArgument, "an object has 1 byte to 1 GiB, and its value that many"});
    }
    begin(i, !node_->waiting_for_room.empty());
  }

  /// `queue_first`: others wait for room already, so this item does not take any before them.
  void begin(std::size_t i, bool queue_first) {
    if (node_->stopped || !node_->publisher->in_session()) {
      return finish(i, {Code::kUnavailable, "the node has no master to publish to"});
    }
    if (node_->publisher->full()) {
      return finish(i, {Code::kExhausted, "the master is behind with what this node has published"});
    }
    if (queue_first && !node_->core.confirmed(key(i))) return wait_for_room(i);
    NodeChanges changes;
    const NodeCore::PutStart start = node_->core.begin_put(key(i), wire(i).bytes(), changes, items_[i].id);
    node_->changed(std::move(changes));
    switch (start) {
      case NodeCore::PutStart::kAllocated:
        return wire(i).value().empty() ? to_pull_.push_back(i) : take_inline(i);
      case NodeCore::PutStart::kExists:
        return finish_existing(i);
      case NodeCore::PutStart::kPending:
        return wait_for_twin(i);
      case NodeCore::PutStart::kNoRoom:
        return wait_for_room(i);
      case NodeCore::PutStart::kTooLarge:
        return finish(
            i, {Code::kExhausted, "an object of " + std::to_string(wire(i).bytes()) + " bytes does not fit a pool of " +
                                      std::to_string(node_->core.bytes_capacity())});
    }
  }

  void take_inline(std::size_t i) {
    if (crc32c(as_bytes(wire(i).value())) != wire(i).crc32c()) return refuse(i, corrupt());
    node_->pool.write(node_->core.extents(items_[i].id), wire(i).value());
    commit(i);
  }

  void pull() {
    if (to_pull_.empty()) return;
    std::vector<std::size_t> pulled;
    pulled.swap(to_pull_);
    std::vector<transfer::TransferRequest> requests;
    for (const std::size_t i : pulled) {
      node_->pool.add_requests(transfer::TransferRequest::Op::kRead, node_->core.extents(items_[i].id),
                               {wire(i).segment_index(), wire(i).segment_generation()}, requests);
    }
    submit_all(node_->engine, caller_, requests, deadline_,
               [self = shared_from_this(), pulled](const Status& status) { self->arrived(pulled, status); });
  }

  void arrived(const std::vector<std::size_t>& pulled, const Status& status) {
    for (const std::size_t i : pulled) {
      if (!status.ok()) {
        refuse(i, status.annotate("reading the value from the caller"));
      } else if (node_->pool.crc32c_of(node_->core.extents(items_[i].id)) != wire(i).crc32c()) {
        refuse(i, corrupt());
      } else {
        commit(i);
      }
    }
    reply_if_done();
  }

  void commit(std::size_t i) {
    NodeChanges changes;
    node_->core.commit_put(items_[i].id, wire(i).crc32c(), changes);
    node_->changed(std::move(changes));
    node_->metrics.bytes_in.Increment(static_cast<double>(wire(i).bytes()));
    node_->metrics.puts_stored.Increment();
    publish_then_finish(i);
    ended(i);
  }

  void refuse(std::size_t i, Status status) {
    node_->core.abort_put(items_[i].id);
    node_->changed({});
    finish(i, std::move(status));
    ended(i);
  }

  void ended(std::size_t i) {
    node_->twin_ended(key(i));
    node_->released();
  }

  void finish_existing(std::size_t i) {
    node_->metrics.puts_existing.Increment();
    publish_then_finish(i);
  }

  void publish_then_finish(std::size_t i) {
    node_->publisher->wait([self = shared_from_this(), i](Status status) {
      self->finish(i, std::move(status));
      self->reply_if_done();
    });
  }

  void wait_for_twin(std::size_t i) {
    node_->waiting_for_twin[key(i)].push_back([self = shared_from_this(), i] {
      self->begin(i, false);
      self->pull();
      self->reply_if_done();
    });
  }

  void wait_for_room(std::size_t i) {
    waiting_.push_back(i);
    if (!in_room_queue_) node_->waiting_for_room.push_back([self = shared_from_this()] { return self->retry(); });
    in_room_queue_ = true;
    if (give_up_armed_) return;
    give_up_armed_ = true;
    const Instant give_up = std::min(deadline_, node_->executor.clock().now() + kRoomWaitMax);
    node_->executor.post_at(give_up, [weak = weak_from_this()] {
      if (const auto self = weak.lock()) self->give_up_waiting();
    });
  }

  /// @return true when no item of this operation waits for room any more.
  bool retry() {
    std::vector<std::size_t> waiting;
    waiting.swap(waiting_);
    for (const std::size_t i : waiting) begin(i, !waiting_.empty());
    pull();
    in_room_queue_ = !waiting_.empty();
    reply_if_done();
    return !in_room_queue_;
  }

  void give_up_waiting() {
    give_up_armed_ = false;
    std::vector<std::size_t> waiting;
    waiting.swap(waiting_);
    for (const std::size_t i : waiting) {
      finish(i, {Code::kExhausted, "everything in the pool is pinned or being written"});
    }
    node_->released();  // whoever waits behind this operation
    reply_if_done();
  }

  static Status corrupt() { return {Code::kCorrupt, "the value does not match its crc32c"}; }

  void finish(std::size_t i, Status status) {
    CHECK(!items_[i].done);
    if (status.code() == Code::kCorrupt) node_->metrics.corrupt.Increment();
    if (!status.ok()) node_->metrics.puts_failed.Increment();
    items_[i] = {items_[i].id, true, std::move(status)};
    --unfinished_;
  }

  void reply_if_done() {
    if (unfinished_ > 0 || replied_) return;
    replied_ = true;
    pb::PutReply reply;
    for (const Item& item : items_) to_wire(item.status, *reply.add_items());
    node_->metrics.put_ms.Observe(to_ms(node_->executor.clock().now() - started_));
    responder_.reply(reply.SerializeAsString());
  }

  const std::shared_ptr<NodeContext> node_;  // shared: see NodeContext
  const transfer::PeerHandle caller_;
  const pb::PutRequest request_;
  transfer::Responder responder_;
  const Instant started_;
  const Deadline deadline_;
  std::vector<Item> items_;
  std::size_t unfinished_;
  std::vector<std::size_t> to_pull_;
  std::vector<std::size_t> waiting_;  // for room
  bool in_room_queue_ = false;
  bool give_up_armed_ = false;
  bool replied_ = false;
};

}  // namespace

void start_put(const std::shared_ptr<NodeContext>& node, transfer::PeerHandle caller, const std::string& payload,
               transfer::Responder responder) {
  Result<pb::PutRequest> request = parse<pb::PutRequest>(payload);
  if (!request.ok()) return responder.reply(request.status());
  if (node->operations >= kOperationsMax) {
    return responder.reply(Status(Code::kExhausted, "the node has its maximum of requests in flight"));
  }
  std::make_shared<PutOperation>(node, caller, *std::move(request), std::move(responder))->start();
}

}  // namespace mooncake::store
