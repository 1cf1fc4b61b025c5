#include "store/client/locator.h"

#include <algorithm>
#include <utility>

#include "store/client/master_link.h"
#include "store/methods.h"
#include "store/wire.h"

namespace mooncake::store {

/// One locate, over all its messages.
struct Locator::Query {
  std::vector<ObjectKey> keys;
  std::vector<std::vector<Location>> found;
  std::size_t outstanding = 0;
  Status first_failure;
  Callback done;

  void one_done() {
    if (--outstanding > 0) return;
    if (first_failure.ok()) {
      done(std::move(found));
    } else {
      done(std::move(first_failure));
    }
  }
};

Locator::Locator(const StoreClientConfig& config, transfer::TransferEngine& engine)
    : config_(config), engine_(engine), cache_(config.location_cache_entries_max), rng_(random_seed()) {}

void Locator::locate(std::vector<ObjectKey> keys, Deadline deadline, Callback done) {
  const auto query = std::make_shared<Query>();  // shared by the calls in flight
  query->found.resize(keys.size());
  query->keys = std::move(keys);
  query->done = std::move(done);
  query->outstanding = std::max<std::size_t>(1, (query->keys.size() + kKeysPerMessageMax - 1) / kKeysPerMessageMax);
  // A question without keys still learns the nodes.
  std::size_t begin = 0;
  do {
    const std::size_t end = std::min(query->keys.size(), begin + kKeysPerMessageMax);
    ask(query, begin, end, deadline);
    begin = end;
  } while (begin < query->keys.size());
}

void Locator::ask(const std::shared_ptr<Query>& query, std::size_t begin, std::size_t end, Deadline deadline) {
  pb::LocateRequest request;
  for (std::size_t i = begin; i < end; ++i) add_key(*request.mutable_keys(), query->keys[i]);
  const Result<transfer::PeerHandle> master = engine_.connect(config_.master);
  // An unusable address shows like an unreachable master: on the call.
  const transfer::PeerHandle peer = master.ok() ? *master : transfer::PeerHandle{};
  const Deadline soon = engine_.executor().clock().now() + kMasterCallTimeout;
  engine_.call(peer, kMethodLocate, request.SerializeAsString(), std::min(deadline, soon),
               [weak = weak_from_this(), query, begin, end](const Result<std::string>& answer) {
                 const auto self = weak.lock();
                 Status status(Code::kCancelled, "the store client has ended");
                 if (self && !self->stopped_) status = self->take(*query, begin, end, answer);
                 if (query->first_failure.ok()) query->first_failure = std::move(status);
                 query->one_done();
               });
}

Status Locator::take(Query& query, std::size_t begin, std::size_t end, const Result<std::string>& answer) {
  MC_RETURN_IF_ERROR(answer.status().annotate("asking the directory"));
  MC_ASSIGN_OR_RETURN(const auto reply, parse<pb::LocateReply>(*answer));
  std::vector<KnownNode> nodes;
  for (const pb::LocateReply::Node& node : reply.nodes()) {
    const std::uint64_t used = std::min(node.bytes_used(), node.bytes_capacity());
    nodes.push_back({node.name(), node.endpoint(), node.bytes_capacity() - used});
  }
  Status malformed(Code::kInternal, "the directory's answer does not match the question");
  if (static_cast<std::size_t>(reply.replica_counts_size()) != end - begin) return malformed;
  int next = 0;
  for (std::size_t i = begin; i < end; ++i) {
    const std::uint32_t count = reply.replica_counts(static_cast<int>(i - begin));
    std::vector<Location>& locations = query.found[i];
    for (std::uint32_t replica = 0; replica < count; ++replica, ++next) {
      if (next >= reply.replicas_size() || reply.replicas(next) >= nodes.size()) return malformed;
      const KnownNode& node = nodes[reply.replicas(next)];
      locations.push_back({node.name, node.endpoint});
    }
    cache_.set(query.keys[i], locations);
  }
  nodes_ = std::move(nodes);
  return {};
}

const KnownNode* Locator::choose_node(const std::vector<std::string>& avoid) {
  std::vector<const KnownNode*> usable;
  for (const KnownNode& node : nodes_) {
    if (std::ranges::find(avoid, node.endpoint) != avoid.end()) continue;
    if (!config_.preferred_node.empty() && node.name == config_.preferred_node) return &node;
    usable.push_back(&node);
  }
  if (usable.empty()) return nullptr;
  const KnownNode* one = usable[rng_.below(usable.size())];
  const KnownNode* other = usable[rng_.below(usable.size())];
  return one->bytes_free >= other->bytes_free ? one : other;
}

}  // namespace mooncake::store
