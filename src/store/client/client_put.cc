#include "store/client/client_put.h"

#include <algorithm>
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
  ClientPut(std::shared_ptr<ClientContext> client, PutTo to, std::vector<PutItem> items, Deadline deadline,
            StoreClient::PutCallback done)
      : ClientOperation(std::move(client), deadline),
        to_(to),
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
      if (std::ranges::any_of((*found)[k], [this](const auto& holder) { return serves(holder.node); })) {
        finish(asked[k], {});
      }
    }
    round();
  }

  /// Whether a copy on that node is what is wanted.
  [[nodiscard]] bool serves(const std::string& node) const {
    return to_ == PutTo::kAnyNode || (!node.empty() && node == client_->config.preferred_node);
  }

  void round() override {
    std::vector<std::size_t> unfinished;
    for (std::size_t i = 0; i < items_.size(); ++i) {
      if (!finished_items_[i]) unfinished.push_back(i);
    }
    if (unfinished.empty()) return conclude();
    if (too_late()) return give_up({Code::kDeadlineExceeded, "put: not answered in time"});
    const KnownNode* node = tried_.size() < kPutAttemptsMax ? client_->locator->choose_node(tried_) : nullptr;
    if (node == nullptr || !serves(node->name)) return give_up(last_failure_.ok() ? nobody() : last_failure_);
    tried_.push_back(node->endpoint);
    put_to({node->name, node->endpoint}, unfinished);
    if (!round_in_flight()) round();  // no buffer could be lent: every item of this round is finished
  }

  [[nodiscard]] Status nobody() const {
    if (to_ == PutTo::kAnyNode) return {Code::kUnavailable, "no store node has joined the master"};
    const std::string& wanted = client_->config.preferred_node;
    if (wanted.empty()) return {Code::kUnavailable, "there is no preferred node to put a copy to"};
    return {Code::kUnavailable, "node " + wanted + " has not joined the master"};
  }

  void put_to(const Location& node, const std::vector<std::size_t>& wanted) {
    send_in_parts<pb::PutRequest>(
        node.endpoint, kMethodPut, wanted, [this](std::size_t i) { return items_[i].value.size(); },
        [this](std::size_t i, pb::PutRequest& request, LentBuffers& buffers) { return add(i, request, buffers); },
        [this, node](const std::vector<std::size_t>& part, const Result<std::string>& answer) {
          answered(node, part, answer);
        });
  }

  /// @return false when the item is finished instead.
  bool add(std::size_t i, pb::PutRequest& request, LentBuffers& buffers) {
    const PutItem& put = items_[i];
    // A segment is of writable memory; that peers may only read it is what keeps the value const.
    const ByteSpan value(const_cast<std::byte*>(put.value.data()), put.value.size());
    const auto segment = lend(value, transfer::Access::kRead, buffers);
    if (!segment.ok()) {
      finish(i, segment.status().annotate("lending the value"));
      return false;
    }
    pb::PutRequest::Item& item = *request.add_items();
    describe(put.key, put.value.size(), *segment, item);
    item.set_crc32c(put.crc32c);
    if (travels_inline(put.value.size())) item.set_value(put.value.data(), put.value.size());
    return true;
  }

  void answered(const Location& node, const std::vector<std::size_t>& part, const Result<std::string>& answer) {
    const auto reply = parse_reply<pb::PutReply>(answer, part.size());
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

  const PutTo to_;
  StoreClient::PutCallback done_;
  const std::vector<PutItem> items_;
  std::vector<bool> finished_items_;
  std::vector<Status> statuses_;
  std::vector<std::string> tried_;  // endpoints
  Status last_failure_;
};

}  // namespace

std::shared_ptr<ClientOperation> make_client_put(std::shared_ptr<ClientContext> client, PutTo to,
                                                 std::vector<PutItem> items, Deadline deadline,
                                                 StoreClient::PutCallback done) {
  return std::make_shared<ClientPut>(std::move(client), to, std::move(items), deadline, std::move(done));
}

}  // namespace mooncake::store
