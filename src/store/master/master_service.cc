#include "store/master/master_service.h"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>

#include <map>
#include <utility>
#include <vector>

#include "base/log.h"
#include "base/metrics.h"
#include "base/rng.h"
#include "store/core/master_core.h"
#include "store/master/watcher_table.h"
#include "store/methods.h"
#include "store/run_and_wait.h"
#include "store/wire.h"

namespace mooncake::store {
namespace {

using transfer::PeerHandle;
using transfer::Responder;

/// How often time-outs are looked at. A twelfth of the heartbeat time-out, so that expiry is late by that at most.
constexpr Millis kTickPeriod{250};

ConnectionId connection_of(PeerHandle peer) { return ConnectionId{peer.value}; }

struct MasterMetrics {
  explicit MasterMetrics(Metrics& metrics)
      : objects(metrics.gauge("mooncake_store_master_objects", "Objects in the directory")),
        members(metrics.gauge("mooncake_store_master_members", "Members with a live session")),
        suspected(metrics.gauge("mooncake_store_master_members_suspected", "Members that are silent for too long")),
        watchers(metrics.gauge("mooncake_store_master_watchers", "Watchers waiting for news")),
        joins(metrics.counter("mooncake_store_master_joins_total", "Sessions begun")),
        ended(metrics.counter("mooncake_store_master_sessions_ended_total", "Sessions lost or expired")),
        published(metrics.counter("mooncake_store_master_published_total", "Changes that nodes published")),
        refused(metrics.counter("mooncake_store_master_refused_total", "Published objects that had to go again")),
        located(metrics.counter("mooncake_store_master_located_total", "Keys looked up")) {}

  prometheus::Gauge& objects;
  prometheus::Gauge& members;
  prometheus::Gauge& suspected;
  prometheus::Gauge& watchers;
  prometheus::Counter& joins;
  prometheus::Counter& ended;
  prometheus::Counter& published;
  prometheus::Counter& refused;
  prometheus::Counter& located;
};

class Master : public std::enable_shared_from_this<Master> {
 public:
  Master(const MasterConfig& config, transfer::TransferEngine& engine, Metrics& metrics)
      : engine_(engine),
        executor_(engine.executor()),
        core_(config.heartbeat_timeout, random_seed()),
        epoch_(random_seed() | 1),
        watchers_(core_, epoch_),
        metrics_(metrics) {}

  void start() {
    serve(kMethodJoin, &Master::join);
    serve(kMethodHeartbeat, &Master::heartbeat);
    serve(kMethodPublish, &Master::publish);
    serve(kMethodLocate, &Master::locate);
    serve(kMethodWatch, &Master::watch);
    engine_.on_peer_lost([weak = weak_from_this()](PeerHandle peer) {
      const auto self = weak.lock();
      if (self && !self->stopped_) self->peer_lost(peer);
    });
    schedule_tick();
  }

  void stop() { stopped_ = true; }

 private:
  using Method = void (Master::*)(PeerHandle, const std::string&, Responder);

  void serve(std::uint16_t number, Method method) {
    engine_.serve(number,
                  [weak = weak_from_this(), method](PeerHandle from, const std::string& payload, Responder responder) {
                    const auto self = weak.lock();
                    if (!self || self->stopped_)
                      return responder.reply(Status(Code::kUnavailable, "the master is shutting down"));
                    (self.get()->*method)(from, payload, std::move(responder));
                  });
  }

  [[nodiscard]] Instant now() const { return executor_.clock().now(); }

  void join(PeerHandle from, const std::string& payload, Responder responder) {
    const Result<pb::JoinRequest> request = parse<pb::JoinRequest>(payload);
    if (!request.ok()) return responder.reply(request.status());
    Member member = from_wire(request->member());
    const std::string label = member.role + " " + member.name;
    const Result<SessionId> session = core_.join(std::move(member), connection_of(from), now());
    if (!session.ok()) return responder.reply(session.status());
    log_info("{} joined", label);
    metrics_.joins.Increment();
    pb::JoinReply reply;
    reply.set_session(static_cast<std::uint64_t>(*session));
    reply.set_master_epoch(epoch_);
    responder.reply(reply.SerializeAsString());
    changed();
  }

  void heartbeat(PeerHandle from, const std::string& payload, Responder responder) {
    const Result<pb::HeartbeatRequest> request = parse<pb::HeartbeatRequest>(payload);
    if (!request.ok()) return responder.reply(request.status());
    const Status known = core_.heartbeat(SessionId{request->session()}, connection_of(from), request->bytes_used(),
                                         request->bytes_capacity(), now());
    if (!known.ok()) return responder.reply(known);
    responder.reply(pb::HeartbeatReply().SerializeAsString());
  }

  void publish(PeerHandle from, const std::string& payload, Responder responder) {
    const Result<pb::PublishRequest> request = parse<pb::PublishRequest>(payload);
    if (!request.ok()) return responder.reply(request.status());
    const int count = request->stored_size();
    if (request->keys_size() != 2 * count || request->crc32c_size() != count) {
      return responder.reply(Status(Code::kInvalidArgument, "a publication has two key halves and a crc32c a change"));
    }
    std::vector<Publication> changes;
    changes.reserve(static_cast<std::size_t>(count));
    for (int i = 0; i < count; ++i) {
      changes.push_back({request->stored(i), key_at(request->keys(), static_cast<std::size_t>(i)), request->crc32c(i)});
    }
    const auto refused = core_.publish(SessionId{request->session()}, connection_of(from), changes, now());
    if (!refused.ok()) return responder.reply(refused.status());
    metrics_.published.Increment(count);
    metrics_.refused.Increment(static_cast<double>(refused->size()));
    pb::PublishReply reply;
    reply.mutable_refused()->Add(refused->begin(), refused->end());
    responder.reply(reply.SerializeAsString());
    changed();
  }

  void locate(PeerHandle, const std::string& payload, Responder responder) {
    const Result<pb::LocateRequest> request = parse<pb::LocateRequest>(payload);
    if (!request.ok()) return responder.reply(request.status());
    if (request->keys_size() % 2 != 0 || request->keys_size() > static_cast<int>(2 * kKeysPerMessageMax)) {
      return responder.reply(
          Status(Code::kInvalidArgument, "a key has two halves, and a call has 16,384 keys at most"));
    }
    pb::LocateReply reply;
    std::map<NodeSlot, std::uint32_t> indexes;
    for (std::size_t slot = 0; slot < core_.nodes().size(); ++slot) {
      const NodeState& node = core_.nodes()[slot];
      if (!node.live) continue;
      indexes.emplace(static_cast<NodeSlot>(slot), static_cast<std::uint32_t>(reply.nodes_size()));
      pb::LocateReply::Node& wire = *reply.add_nodes();
      wire.set_name(node.name);
      wire.set_endpoint(node.endpoint);
      wire.set_bytes_used(node.bytes_used);
      wire.set_bytes_capacity(node.bytes_capacity);
    }
    const auto keys = static_cast<std::size_t>(request->keys_size() / 2);
    for (std::size_t i = 0; i < keys; ++i) {
      const auto replicas = core_.directory().find(key_at(request->keys(), i));
      reply.add_replica_counts(static_cast<std::uint32_t>(replicas.size()));
      for (const NodeSlot slot : replicas) reply.add_replicas(indexes.at(slot));
    }
    metrics_.located.Increment(static_cast<double>(keys));
    responder.reply(reply.SerializeAsString());
  }

  void watch(PeerHandle from, const std::string& payload, Responder responder) {
    watchers_.watch(from, payload, std::move(responder), now());
  }

  void peer_lost(PeerHandle peer) {
    watchers_.forget(peer);
    log_ended(core_.connection_lost(connection_of(peer)), "its connection broke");
  }

  void schedule_tick() {
    executor_.post_at(now() + kTickPeriod, [weak = weak_from_this()] {
      const auto self = weak.lock();
      if (!self || self->stopped_) return;
      self->log_ended(self->core_.tick(self->now()), "it was silent for too long");
      self->tell_watchers();
      self->schedule_tick();
    });
  }

  void log_ended(const std::vector<Member>& ended, std::string_view why) {
    for (const Member& member : ended) log_warn("{} {} left: {}", member.role, member.name, why);
    metrics_.ended.Increment(static_cast<double>(ended.size()));
    if (!ended.empty()) changed();
  }

  /// Watchers learn of changes in one go, after what else is waiting on the executor.
  void changed() {
    if (std::exchange(tell_posted_, true)) return;
    executor_.post([weak = weak_from_this()] {
      const auto self = weak.lock();
      if (!self) return;
      self->tell_posted_ = false;
      if (!self->stopped_) self->tell_watchers();
    });
  }

  void tell_watchers() {
    metrics_.objects.Set(static_cast<double>(core_.directory().objects()));
    metrics_.members.Set(static_cast<double>(core_.membership().size()));
    metrics_.suspected.Set(static_cast<double>(core_.membership().suspected(now())));
    watchers_.tick(now());
    metrics_.watchers.Set(static_cast<double>(watchers_.size()));
  }

  transfer::TransferEngine& engine_;
  Executor& executor_;
  MasterCore core_;
  const std::uint64_t epoch_;
  WatcherTable watchers_;
  MasterMetrics metrics_;
  bool tell_posted_ = false;
  bool stopped_ = false;
};

class MasterHandle final : public MasterService {
 public:
  MasterHandle(const MasterConfig& config, transfer::TransferEngine& engine, Metrics& metrics)
      : executor_(engine.executor()), master_(std::make_shared<Master>(config, engine, metrics)) {
    master_->start();
  }
  ~MasterHandle() override {
    run_and_wait(executor_, [this] { master_->stop(); });
  }

 private:
  Executor& executor_;
  std::shared_ptr<Master> master_;  // shared: callbacks of the engine find it by weak_ptr
};

}  // namespace

Result<std::unique_ptr<MasterService>> MasterService::create(MasterConfig config, transfer::TransferEngine& engine,
                                                             Executor& executor, Metrics& metrics) {
  CHECK(&executor == &engine.executor());
  if (config.heartbeat_timeout < 4 * kTickPeriod) {
    return Status(Code::kInvalidArgument, "heartbeat_timeout must be at least a second");
  }
  return std::unique_ptr<MasterService>(std::make_unique<MasterHandle>(config, engine, metrics));
}

}  // namespace mooncake::store
