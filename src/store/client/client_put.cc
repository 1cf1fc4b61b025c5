#include "store/client/client_put.h"

#include <utility>

#include "store/methods.h"
#include "store/wire.h"

namespace mooncake::store {
namespace {

/// Failures of a node that another node may not have.
bool worth_another_node(Code code) {
  switch (code) {
    case Code::kExhausted:
    case Code::kUnavailable:
    case Code::kPeerLost:
    case Code::kStale:
    case Code::kUnsupported:
    case Code::kInternal:
      return true;
    default:
      return false;
  }
}

class ClientPut final : public ClientOperation {
 public:
  ClientPut(std::shared_ptr<ClientContext> client, std::vector<PutItem> items, Deadline deadline,
            StoreClient::PutCallback done)
      : ClientOperation(std::move(client), deadline),
        done_(std::move(done)),
        items_(std::move(items)),
        finished_items_(items_.size(), false),
        statuses_(items_.size()) {}

  void start() override {
    std::vector<ObjectKey> keys;
    std::vector<std::size_t> asked;
    for (std::size_t i = 0; i < items_.size(); ++i) {
      if (items_[i].value.empty() || items_[i].value.size() > kObjectBytesMax) {
        finish(i, {Code::kInvalidArgument, "an object has 1 byte to 1 GiB"});
      } else {
        keys.push_back(items_[i].key);
        asked.push_back(i);
      }
    }
    if (keys.empty()) return conclude();
    client_->locator->locate(
        std::move(keys), deadline_,
        [self = shared_from_this(), this, asked](const Result<std::vector<std::vector<Location>>>& found) {
          if (!is_finished()) located(asked, found);
        });
  }

 private:
  void located(const std::vector<std::size_t>& asked, const Result<std::vector<std::vector<Location>>>& found) {
    if (!found.ok()) {
      return give_up({Code::kUnavailable, "nothing can be published: " + found.status().to_string()});
    }
    for (std::size_t k = 0; k < asked.size(); ++k) {
      if (!(*found)[k].empty()) finish(asked[k], {});
    }
    round();
  }

  void round() override {
    std::vector<std::size_t> unfinished;
    for (std::size_t i = 0; i < items_.size(); ++i) {
      if (!finished_items_[i]) unfinished.push_back(i);
    }
    if (unfinished.empty()) return conclude();
    if (too_late()) return give_up({Code::kDeadlineExceeded, "put: not answered in time"});
    const KnownNode* node = tried_.size() < kPutAttemptsMax ? client_->locator->choose_node(tried_) : nullptr;
    if (node == nullptr) {
      return give_up(last_failure_.ok() ? Status(Code::kUnavailable, "no store node has joined the master")
                                        : last_failure_);
    }
    tried_.push_back(node->endpoint);
    put_to({node->name, node->endpoint}, unfinished);
    if (!round_in_flight()) round();  // no buffer could be lent: every item of this round is finished
  }

  void put_to(const Location& node, const std::vector<std::size_t>& wanted) {
    std::size_t at = 0;
    while (at < wanted.size()) {
      const auto call = std::make_shared<NodeCall>(client_->engine);  // shared: see NodeCall
      pb::PutRequest request;
      request.set_deadline_ms(remaining());
      std::vector<std::size_t> part;
      std::size_t bytes = 0;
      for (; at < wanted.size() && part.size() < kItemsPerMessageMax; ++at) {
        const std::size_t size = message_bytes(wanted[at]);
        if (bytes + size > kItemBytesPerMessageMax) break;
        if (!add(wanted[at], request, call->buffers())) continue;
        bytes += size;
        part.push_back(wanted[at]);
      }
      if (part.empty()) continue;
      send(call, node.endpoint, kMethodPut, request.SerializeAsString(),
           [this, node, part](const Result<std::string>& answer) { answered(node, part, answer); });
    }
  }

  [[nodiscard]] bool inline_value(std::size_t i) const { return items_[i].value.size() <= kInlineBytesMax; }
  [[nodiscard]] std::size_t message_bytes(std::size_t i) const {
    return kItemOverheadBytes + (inline_value(i) ? items_[i].value.size() : 0);
  }

  /// @return false when the item is finished instead.
  bool add(std::size_t i, pb::PutRequest& request, LentBuffers& buffers) {
    const PutItem& put = items_[i];
    transfer::SegmentHandle segment;
    if (!inline_value(i)) {
      // A segment is of writable memory; that peers may only read it is what keeps the value const.
      const ByteSpan value(const_cast<std::byte*>(put.value.data()), put.value.size());
      const Result<transfer::SegmentHandle> lent = buffers.lend(value, transfer::Access::kRead);
      if (!lent.ok()) {
        finish(i, lent.status().annotate("lending the value"));
        return false;
      }
      segment = *lent;
    }
    pb::PutRequest::Item& item = *request.add_items();
    item.set_key_high(put.key.high);
    item.set_key_low(put.key.low);
    item.set_bytes(put.value.size());
    item.set_crc32c(put.crc32c);
    if (inline_value(i)) item.set_value(put.value.data(), put.value.size());
    item.set_segment_index(segment.index);
    item.set_segment_generation(segment.generation);
    return true;
  }

  void answered(const Location& node, const std::vector<std::size_t>& part, const Result<std::string>& answer) {
    Result<pb::PutReply> reply = answer.ok() ? parse<pb::PutReply>(*answer) : answer.status();
    if (reply.ok() && static_cast<std::size_t>(reply->items_size()) != part.size()) {
      reply = Status(Code::kInternal, "a node answered for another number of items");
    }
    for (std::size_t k = 0; k < part.size(); ++k) {
      Status status = reply.ok() ? from_wire(reply->items(static_cast<int>(k))) : reply.status();
      if (status.ok()) client_->locator->cache().add(items_[part[k]].key, node);
      if (worth_another_node(status.code()) && !cancelled()) {
        last_failure_ = status.annotate(node.node);
      } else {
        finish(part[k], status.annotate(node.node));
      }
    }
  }

  void finish(std::size_t i, Status status) {
    statuses_[i] = std::move(status);
    finished_items_[i] = true;
  }

  void give_up(const Status& status) override {
    for (std::size_t i = 0; i < items_.size(); ++i) {
      if (!finished_items_[i]) finish(i, status);
    }
    conclude();
  }

  void conclude() {
    finished();
    done_(std::move(statuses_));
  }

  StoreClient::PutCallback done_;
  const std::vector<PutItem> items_;
  std::vector<bool> finished_items_;
  std::vector<Status> statuses_;
  std::vector<std::string> tried_;  // endpoints
  Status last_failure_;
};

}  // namespace

std::shared_ptr<ClientOperation> make_client_put(std::shared_ptr<ClientContext> client, std::vector<PutItem> items,
                                                 Deadline deadline, StoreClient::PutCallback done) {
  return std::make_shared<ClientPut>(std::move(client), std::move(items), deadline, std::move(done));
}

}  // namespace mooncake::store
