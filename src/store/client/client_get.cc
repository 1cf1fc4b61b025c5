#include "store/client/client_get.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <utility>

#include "base/crc32c.h"
#include "base/log.h"
#include "store/methods.h"
#include "store/wire.h"

namespace mooncake::store {
namespace {

class ClientGet final : public ClientOperation {
 public:
  ClientGet(std::shared_ptr<ClientContext> client, const std::vector<GetItem>& items, Deadline deadline,
            StoreClient::GetCallback done)
      : ClientOperation(std::move(client), deadline), done_(std::move(done)), outcomes_(items.size()) {
    items_.reserve(items.size());
    for (const GetItem& item : items) items_.push_back({.asked = item, .locations = {}, .tried = {}, .failure = {}});
  }

  void start() override {
    for (std::size_t i = 0; i < items_.size(); ++i) {
      const std::size_t bytes = items_[i].asked.target.size();
      if (bytes == 0 || bytes > kObjectBytesMax) {
        finish(i, {Code::kInvalidArgument, "an object has 1 byte to 1 GiB"});
      } else {
        items_[i].locations = client_->locator->cache().find(items_[i].asked.key);
      }
    }
    round();
  }

 private:
  struct Item {
    GetItem asked;
    std::vector<Location> locations;
    std::vector<std::string> tried;  // endpoints that do not have it
    bool directory_asked = false;
    bool suspect = false;  // what arrived was damaged: the node shall check its copy
    bool corrupt = false;  // a replica was
    bool done = false;
    Status failure;  // the last one, for the message of a miss
  };

  void round() override {
    if (too_late()) return give_up({Code::kDeadlineExceeded, "get: not answered in time"});
    std::vector<std::size_t> unknown;
    std::map<std::string, std::pair<Location, std::vector<std::size_t>>> by_node;
    for (std::size_t i = 0; i < items_.size(); ++i) {
      if (items_[i].done) continue;
      if (const Location* location = choose(items_[i])) {
        by_node.try_emplace(location->endpoint, *location, std::vector<std::size_t>{})
            .first->second.second.push_back(i);
      } else if (!items_[i].directory_asked) {
        unknown.push_back(i);
      } else {
        settle(i);
      }
    }
    if (!unknown.empty()) return ask_directory(unknown);
    if (by_node.empty()) return conclude();
    for (const auto& [endpoint, group] : by_node) ask_node(group.first, group.second);
    if (!round_in_flight()) round();  // no buffer could be lent: every item of this round is finished
  }

  /// The preferred node, or the first that was not tried; null when there is none.
  const Location* choose(const Item& item) const {
    const Location* chosen = nullptr;
    for (const Location& location : item.locations) {
      if (std::ranges::find(item.tried, location.endpoint) != item.tried.end()) continue;
      if (location.node == client_->config.preferred_node) return &location;
      if (chosen == nullptr) chosen = &location;
    }
    return chosen;
  }

  void ask_directory(const std::vector<std::size_t>& unknown) {
    std::vector<ObjectKey> keys;
    for (const std::size_t i : unknown) {
      items_[i].directory_asked = true;
      keys.push_back(items_[i].asked.key);
    }
    client_->locator->locate(
        std::move(keys), deadline_,
        [self = shared_from_this(), this, unknown](Result<std::vector<std::vector<Location>>> found) {
          if (is_finished()) return;
          for (std::size_t k = 0; k < unknown.size(); ++k) {
            Item& item = items_[unknown[k]];
            if (found.ok()) item.locations = (*found)[k];
            if (!found.ok()) item.failure = found.status();
          }
          round();
        });
  }

  void ask_node(const Location& node, const std::vector<std::size_t>& wanted) {
    send_in_parts<pb::GetRequest>(
        node.endpoint, kMethodGet, wanted, [this](std::size_t i) { return items_[i].asked.target.size(); },
        [this](std::size_t i, pb::GetRequest& request, LentBuffers& buffers) { return add(i, request, buffers); },
        [this, node](const std::vector<std::size_t>& part, const Result<std::string>& answer) {
          answered(node, part, answer);
        });
  }

  /// @return false when the item is finished instead.
  bool add(std::size_t i, pb::GetRequest& request, LentBuffers& buffers) {
    const GetItem& asked = items_[i].asked;
    const auto segment = lend(asked.target, transfer::Access::kWrite, buffers);
    if (!segment.ok()) {
      finish(i, segment.status().annotate("lending the target"));
      return false;
    }
    pb::GetRequest::Item& item = *request.add_items();
    describe(asked.key, asked.target.size(), *segment, item);
    item.set_inline_value(travels_inline(asked.target.size()));
    item.set_suspect(items_[i].suspect);
    return true;
  }

  void answered(const Location& node, const std::vector<std::size_t>& part, const Result<std::string>& answer) {
    const auto reply = parse_reply<pb::GetReply>(answer, part.size());
    for (std::size_t k = 0; k < part.size(); ++k) {
      if (!reply.ok()) {
        failed(part[k], node, reply.status());
      } else if (const auto& item = reply->items(static_cast<int>(k)); item.status().code() != 0) {
        failed(part[k], node, from_wire(item.status()));
      } else if (verify(part[k], item.crc32c(), item.value())) {
        outcomes_[part[k]] = {Status(), item.crc32c(), node.node};
        items_[part[k]].done = true;
      } else {
        damaged(part[k], node);
      }
    }
  }

  /// The buffers are back, so nothing can change what is checked here.
  bool verify(std::size_t i, std::uint32_t crc, const std::string& value) {
    const ByteSpan target = items_[i].asked.target;
    if (!travels_inline(target.size())) return crc32c(target) == crc;
    if (value.size() != target.size() || crc32c(as_bytes(value)) != crc) return false;
    std::memcpy(target.data(), value.data(), value.size());
    return true;
  }

  void damaged(std::size_t i, const Location& node) {
    Item& item = items_[i];
    log_warn("object {} arrived damaged from {}", item.asked.key.to_string(), node.node);
    item.corrupt = true;
    if (std::exchange(item.suspect, true)) try_elsewhere(i, node);
  }

  void failed(std::size_t i, const Location& node, Status status) {
    const Code code = status.code();
    const bool size_differs = code == Code::kInvalidArgument;
    if (size_differs || (code == Code::kDeadlineExceeded && too_late()) || cancelled()) {
      return finish(i, std::move(status));
    }
    items_[i].corrupt |= code == Code::kCorrupt;
    items_[i].failure = status.annotate(node.node);
    try_elsewhere(i, node);
  }

  void try_elsewhere(std::size_t i, const Location& node) {
    items_[i].suspect = false;
    items_[i].tried.push_back(node.endpoint);
    client_->locator->cache().forget(items_[i].asked.key, node.endpoint);
  }

  /// Nobody is left to ask.
  void settle(std::size_t i) {
    const Item& item = items_[i];
    const std::string detail = item.failure.ok() ? "" : " (" + item.failure.to_string() + ")";
    if (item.corrupt) return finish(i, {Code::kCorrupt, "every replica was damaged or out of reach" + detail});
    finish(i, {Code::kNotFound, "no live node holds it" + detail});
  }

  void finish(std::size_t i, Status status) {
    outcomes_[i].status = std::move(status);
    items_[i].done = true;
  }

  void give_up(const Status& status) override {
    for (std::size_t i = 0; i < items_.size(); ++i) {
      if (!items_[i].done) finish(i, status);
    }
    conclude();
  }

  void conclude() {
    finished();
    done_(std::move(outcomes_));
  }

  StoreClient::GetCallback done_;
  std::vector<Item> items_;
  std::vector<GetOutcome> outcomes_;
};

}  // namespace

std::shared_ptr<ClientOperation> make_client_get(std::shared_ptr<ClientContext> client,
                                                 const std::vector<GetItem>& items, Deadline deadline,
                                                 StoreClient::GetCallback done) {
  return std::make_shared<ClientGet>(std::move(client), items, deadline, std::move(done));
}

}  // namespace mooncake::store
