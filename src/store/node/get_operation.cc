#include "store/node/get_operation.h"

#include <prometheus/counter.h>
#include <prometheus/histogram.h>

#include <utility>
#include <vector>

#include "base/log.h"
#include "store/node/submit_all.h"
#include "store/wire.h"

namespace mooncake::store {
namespace {

class GetOperation : public std::enable_shared_from_this<GetOperation> {
 public:
  GetOperation(std::shared_ptr<NodeContext> node, transfer::Responder responder)
      : node_(std::move(node)), responder_(std::move(responder)), started_(node_->executor.clock().now()) {
    ++node_->operations;
  }
  ~GetOperation() { --node_->operations; }

  void start(transfer::PeerHandle caller, const pb::GetRequest& request) {
    for (const pb::GetRequest::Item& item : request.items()) add(item, *reply_.add_items());
    submit_all(node_->engine, caller, requests_, node_->deadline_after(request.deadline_ms()),
               [self = shared_from_this()](const Status& status) { self->sent(status); });
  }

 private:
  struct Sending {
    ObjectId pinned;
    std::uint64_t bytes;
    int reply_index;
  };

  void add(const pb::GetRequest::Item& item, pb::GetReply::Item& answer) {
    const Key128 key{item.key_high(), item.key_low()};
    const std::optional<ObjectView> object = node_->core.pin(key);
    (object ? node_->metrics.hits : node_->metrics.misses).Increment();
    if (!object) return to_wire({Code::kNotFound, "not on this node"}, *answer.mutable_status());
    if (const Status refusal = refuse(item, key, *object); !refusal.ok()) {
      to_wire(refusal, *answer.mutable_status());
      return unpin(object->id);
    }
    answer.set_crc32c(object->crc32c);
    if (item.inline_value()) {
      node_->pool.read(*object->extents, *answer.mutable_value());
      inline_bytes_ += object->bytes;
      node_->metrics.bytes_out.Increment(static_cast<double>(object->bytes));
      return unpin(object->id);
    }
    node_->pool.add_requests(transfer::TransferRequest::Op::kWrite, *object->extents,
                             {item.segment_index(), item.segment_generation()}, requests_);
    sending_.push_back({object->id, object->bytes, reply_.items_size() - 1});
  }

  Status refuse(const pb::GetRequest::Item& item, const Key128& key, const ObjectView& object) {
    if (object.bytes != item.bytes()) {
      return {Code::kInvalidArgument,
              "the object has " + std::to_string(object.bytes) + " bytes, the target " + std::to_string(item.bytes())};
    }
    if (item.inline_value() &&
        (object.bytes > kInlineBytesMax || inline_bytes_ + object.bytes > kItemBytesPerMessageMax)) {
      return {Code::kInvalidArgument, "too many bytes for one reply: ask for them in a segment, or in another call"};
    }
    if (item.suspect() && node_->pool.crc32c_of(*object.extents) != object.crc32c) {
      log_error("object {} is damaged in memory: dropped", key.to_string());
      node_->metrics.corrupt.Increment();
      NodeChanges changes;
      node_->core.drop(key, std::nullopt, changes);
      node_->changed(std::move(changes));
      return {Code::kCorrupt, "the object was damaged in memory, and is dropped"};
    }
    return {};
  }

  void sent(const Status& status) {
    for (const Sending& sending : sending_) {
      unpin(sending.pinned);
      if (status.ok()) {
        node_->metrics.bytes_out.Increment(static_cast<double>(sending.bytes));
      } else {
        to_wire(status, *reply_.mutable_items(sending.reply_index)->mutable_status());
      }
    }
    node_->metrics.get_ms.Observe(to_ms(node_->executor.clock().now() - started_));
    responder_.reply(reply_.SerializeAsString());
  }

  void unpin(ObjectId id) {
    node_->core.unpin(id);
    node_->released();
  }

  const std::shared_ptr<NodeContext> node_;  // shared: see NodeContext
  transfer::Responder responder_;
  const Instant started_;
  pb::GetReply reply_;
  std::vector<transfer::TransferRequest> requests_;
  std::vector<Sending> sending_;
  std::uint64_t inline_bytes_ = 0;
};

}  // namespace

void start_get(const std::shared_ptr<NodeContext>& node, transfer::PeerHandle caller, const std::string& payload,
               transfer::Responder responder) {
  const Result<pb::GetRequest> request = parse<pb::GetRequest>(payload);
  if (!request.ok()) return responder.reply(request.status());
  if (node->operations >= kOperationsMax) {
    return responder.reply(Status(Code::kExhausted, "the node has its maximum of requests in flight"));
  }
  std::make_shared<GetOperation>(node, std::move(responder))->start(caller, *request);
}

}  // namespace mooncake::store
