#include "store/node/node_service.h"

#include <fmt/core.h>
#include <fmt/ranges.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <utility>

#include "base/log.h"
#include "store/methods.h"
#include "store/node/get_operation.h"
#include "store/node/node_context.h"
#include "store/node/put_operation.h"
#include "store/run_and_wait.h"

namespace mooncake::store {
namespace {

using transfer::PeerHandle;
using transfer::Responder;
using transfer::SegmentHandle;

Status check(const NodeConfig& config) {
  if (config.name.empty()) return {Code::kInvalidArgument, "a node needs a name"};
  const bool pages_fit = std::has_single_bit(config.page_bytes) && config.page_bytes >= std::size_t{2} * kSlotAlign &&
                         config.page_bytes <= (std::size_t{1} << 30);
  const std::size_t pool_bytes = config.pool.empty() ? config.pool_bytes : config.pool.size();
  if (!pages_fit || pool_bytes < config.page_bytes) {
    return {Code::kInvalidArgument, "a pool has at least one page, and a page is a power of two from 128 B to 1 GiB"};
  }
  if (!(config.high_watermark > 0 && config.high_watermark <= 1)) {
    return {Code::kInvalidArgument, "high_watermark must be in (0, 1]"};
  }
  const std::span<const std::string_view> names = node_eviction_names();
  if (std::ranges::find(names, config.eviction) == names.end()) {
    return {Code::kInvalidArgument,
            fmt::format("a node cannot evict by \"{}\"; there are {}", config.eviction, fmt::join(names, ", "))};
  }
  return {};
}

class Node final : public NodeService {
 public:
  Node(const NodeConfig& config, ByteSpan pool, SegmentHandle segment, transfer::TransferEngine& engine,
       Metrics& metrics, std::function<void()> on_joined)
      : engine_(engine), segment_(segment), on_joined_(std::move(on_joined)) {
    context_ = std::make_shared<NodeContext>(engine,
                                             NodeCoreConfig{.pool_bytes = pool.size(),
                                                            .page_bytes = static_cast<std::uint32_t>(config.page_bytes),
                                                            .high_watermark = config.high_watermark,
                                                            .eviction = config.eviction},
                                             pool, metrics);
    context_->metrics.bytes_capacity.Set(static_cast<double>(context_->core.bytes_capacity()));
    context_->publisher = std::make_shared<Publisher>(engine, publisher_hooks());
    Member self;
    self.role = "node";
    self.name = config.name;
    link_ = MasterLink::create(config.master, self, engine, link_hooks());
    serve(kMethodPut, &start_put);
    serve(kMethodGet, &start_get);
    engine.executor().post([link = link_] { link->start(); });
  }

  ~Node() override {
    run_and_wait(engine_.executor(), [this] {
      link_->stop();
      context_->stop();
      set_joined(false);
      // Transfers in flight keep the pool until they end; the engine owns the memory.
      const Status revoked = engine_.unregister_memory(segment_, [] {});
      if (!revoked.ok()) log_warn("unregister the pool: {}", revoked.to_string());
    });
  }

  [[nodiscard]] bool joined() const override { return joined_; }

 private:
  using Start = void (*)(const std::shared_ptr<NodeContext>&, PeerHandle, const std::string&, Responder);

  void serve(std::uint16_t method, Start start) {
    engine_.serve(method, [weak = std::weak_ptr<NodeContext>(context_), start](
                              PeerHandle from, const std::string& payload, Responder responder) {
      const auto node = weak.lock();
      if (!node || node->stopped) return responder.reply(Status(Code::kUnavailable, "the node is shutting down"));
      start(node, from, payload, std::move(responder));
    });
  }

  // The hooks run on the executor and not after the destructor's step there, so `this` is safe in them.
  Publisher::Hooks publisher_hooks() {
    return {.accepted =
                [this](const NodeChange& change) {
                  if (change.kind == NodeChange::Kind::kStored) context_->core.confirm(change.key, change.version);
                },
            .refused =
                [this](const NodeChange& change) {
                  NodeChanges changes;
                  context_->core.drop(change.key, change.version, changes);
                  context_->changed(std::move(changes));
                },
            .failed = [this] { link_->rejoin(); },
            .latency = [this](double ms) { context_->metrics.publish_ms.Observe(ms); }};
  }

  MasterLink::Hooks link_hooks() {
    return {.joined = [this](const MasterLink::Session& session) { joined(session); },
            .lost =
                [this] {
                  set_joined(false);
                  context_->publisher->end();
                },
            .usage =
                [this] {
                  return MasterLink::Usage{context_->core.bytes_used(), context_->core.bytes_capacity()};
                }};
  }

  void joined(const MasterLink::Session& session) {
    context_->publisher->begin(session, context_->core.report());
    context_->publisher->wait([this](const Status& status) {
      if (!status.ok()) return;
      set_joined(true);
      if (on_joined_) std::exchange(on_joined_, nullptr)();
    });
  }

  void set_joined(bool joined) {
    joined_ = joined;
    context_->metrics.joined.Set(joined ? 1 : 0);
  }

  transfer::TransferEngine& engine_;
  const SegmentHandle segment_;
  std::function<void()> on_joined_;
  std::atomic<bool> joined_{false};       // written on the executor, read by /readyz
  std::shared_ptr<NodeContext> context_;  // shared with operations in flight
  std::shared_ptr<MasterLink> link_;      // shared: callbacks of the engine find it by weak_ptr
};

}  // namespace

Result<std::unique_ptr<NodeService>> NodeService::create(const NodeConfig& config, transfer::TransferEngine& engine,
                                                         Executor& executor, Metrics& metrics,
                                                         std::function<void()> on_joined) {
  CHECK(&executor == &engine.executor());
  MC_RETURN_IF_ERROR(check(config));
  ByteSpan pool = config.pool;
  if (pool.empty()) {
    MC_ASSIGN_OR_RETURN(pool, engine.allocate_shared(config.pool_bytes));
  }
  MC_ASSIGN_OR_RETURN(const SegmentHandle segment, engine.register_memory(pool, transfer::Access::kNone));
  log_info("{} has a pool of {} bytes and evicts by {}", config.name, pool.size(), config.eviction);
  return std::unique_ptr<NodeService>(
      std::make_unique<Node>(config, pool, segment, engine, metrics, std::move(on_joined)));
}

}  // namespace mooncake::store
