#include "store/client/membership.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "base/log.h"
#include "store/client/master_link.h"
#include "store/client/retry_log.h"
#include "store/methods.h"
#include "store/run_and_wait.h"
#include "store/wire.h"

namespace mooncake::store {
namespace {

/// The master answers a watch after five seconds at the latest.
constexpr Seconds kWatchTimeout{8};
/// A new master does not know yet who will rejoin. For as long as its heartbeat time-out we keep who was there before.
constexpr Seconds kRejoinGrace{3};

CacheChange from_wire(const pb::WatchReply::CacheChange& wire) {
  CacheChange change;
  change.node = wire.node();
  switch (wire.kind()) {
    case pb::WatchReply::CacheChange::REMOVED:
      change.kind = CacheChange::Kind::kRemoved;
      break;
    case pb::WatchReply::CacheChange::CLEARED:
      change.kind = CacheChange::Kind::kCleared;
      break;
    default:
      change.kind = CacheChange::Kind::kStored;
  }
  const auto keys = static_cast<std::size_t>(wire.keys_size() / 2);
  change.keys.reserve(keys);
  for (std::size_t i = 0; i < keys; ++i) change.keys.push_back(key_at(wire.keys(), i));
  return change;
}

/// Asks the master what is new, for ever, and turns the answers into callbacks.
class Watcher : public std::enable_shared_from_this<Watcher> {
 public:
  Watcher(const MembershipConfig& config, transfer::TransferEngine& engine, Membership::Callbacks callbacks)
      : config_(config), engine_(engine), executor_(engine.executor()), callbacks_(std::move(callbacks)) {}

  void start() { ask(); }
  void stop() { stopped_ = true; }

 private:
  void ask() {
    const Result<transfer::PeerHandle> master = engine_.connect(config_.master);
    if (!master.ok()) {
      return ask_later(master.status());
    }
    pb::WatchRequest request;
    request.set_master_epoch(master_epoch_);
    request.set_watch_members(config_.watch_members);
    request.set_members_version(members_version_);
    request.set_watch_cache(config_.watch_cache);
    request.set_cache_position(cache_position_);
    request.set_copy(copy_);
    engine_.call(*master, kMethodWatch, request.SerializeAsString(), executor_.clock().now() + kWatchTimeout,
                 [weak = weak_from_this()](const Result<std::string>& answer) {
                   const auto self = weak.lock();
                   if (self && !self->stopped_) self->answered(answer);
                 });
  }

  void ask_later(const Status& why) {
    if (failures_.is_new(why))
      log_warn("cannot watch the master at {}, trying on: {}", config_.master, why.to_string());
    executor_.post_at(executor_.clock().now() + kRejoinDelay, [weak = weak_from_this()] {
      const auto self = weak.lock();
      if (self && !self->stopped_) self->ask();
    });
  }

  void answered(const Result<std::string>& answer) {
    const Result<pb::WatchReply> reply = answer.ok() ? parse<pb::WatchReply>(*answer) : answer.status();
    if (!reply.ok()) {
      // Positions survive, a half-told copy does not: nobody knows whether its next part was told into the void.
      if (copy_ != 0) master_epoch_ = copy_ = 0;
      return ask_later(reply.status());
    }
    failures_.on_success();
    apply(*reply);
    if (!stopped_) ask();  // a callback may have ended us
  }

  void apply(const pb::WatchReply& reply) {
    const bool new_master = heard_from_ != 0 && heard_from_ != reply.master_epoch();
    master_epoch_ = heard_from_ = reply.master_epoch();
    members_version_ = reply.members_version();
    cache_position_ = reply.cache_position();
    copy_ = reply.copy();
    if (new_master) keep_members_for_a_while();
    if (reply.members_changed()) {
      members_.clear();
      for (const pb::Member& member : reply.members()) members_.push_back(store::from_wire(member));
      tell_members();
    }
    if (!stopped_) tell_cache(reply);
    if (callbacks_.joined && config_.self.role.empty() && !stopped_) std::exchange(callbacks_.joined, nullptr)();
  }

  void keep_members_for_a_while() {
    kept_ = told_members_;
    executor_.post_at(executor_.clock().now() + kRejoinGrace, [weak = weak_from_this(), epoch = heard_from_] {
      const auto self = weak.lock();
      if (!self || self->stopped_ || self->heard_from_ != epoch) return;
      self->kept_.clear();
      self->tell_members();
    });
  }

  void tell_members() {
    std::vector<Member> all = members_;
    for (const Member& kept : kept_) {
      if (std::ranges::find(members_, kept.name, &Member::name) == members_.end()) all.push_back(kept);
    }
    std::ranges::sort(all, {}, &Member::name);
    if (told_ && all == told_members_) return;
    told_ = true;
    told_members_ = all;
    if (callbacks_.members) callbacks_.members(std::move(all));
  }

  void tell_cache(const pb::WatchReply& reply) {
    std::vector<CacheChange> changes;
    if (reply.copy_begins()) {
      for (const std::string& node : nodes_with_content_) {
        changes.push_back({CacheChange::Kind::kCleared, node, {}});
      }
      nodes_with_content_.clear();
    }
    for (const pb::WatchReply::CacheChange& wire : reply.changes()) {
      changes.push_back(from_wire(wire));
      if (changes.back().kind == CacheChange::Kind::kStored) nodes_with_content_.insert(changes.back().node);
    }
    if (!changes.empty() && callbacks_.cache) callbacks_.cache(std::move(changes));
  }

  const MembershipConfig config_;
  transfer::TransferEngine& engine_;
  Executor& executor_;
  Membership::Callbacks callbacks_;
  bool stopped_ = false;
  RetryLog failures_;
  // What we have: sent with every question.
  std::uint64_t master_epoch_ = 0;
  std::uint64_t members_version_ = 0;
  std::uint64_t cache_position_ = 0;
  std::uint64_t copy_ = 0;
  // What we told.
  std::uint64_t heard_from_ = 0;  // the last master's epoch
  std::vector<Member> members_;   // as the master says
  std::vector<Member> kept_;      // of the master before
  std::vector<Member> told_members_;
  bool told_ = false;
  std::set<std::string> nodes_with_content_;
};

class MembershipHandle final : public Membership {
 public:
  MembershipHandle(const MembershipConfig& config, transfer::TransferEngine& engine, Callbacks callbacks)
      : executor_(engine.executor()) {
    if (!config.self.role.empty()) {
      link_ = MasterLink::create(
          config.master, config.self, engine,
          {.joined =
               [joined = std::exchange(callbacks.joined, nullptr)](const MasterLink::Session&) mutable {
                 if (joined) std::exchange(joined, nullptr)();
               },
           .lost = [] {},
           .usage = {}});
      executor_.post([link = link_] { link->start(); });
    }
    if (config.watch_members || config.watch_cache || config.self.role.empty()) {
      watcher_ = std::make_shared<Watcher>(config, engine, std::move(callbacks));
      executor_.post([watcher = watcher_] { watcher->start(); });
    }
  }

  ~MembershipHandle() override {
    run_and_wait(executor_, [this] {
      if (link_) link_->stop();
      if (watcher_) watcher_->stop();
    });
  }

 private:
  Executor& executor_;
  std::shared_ptr<MasterLink> link_;  // shared: callbacks of the engine find them by weak_ptr
  std::shared_ptr<Watcher> watcher_;
};

}  // namespace

std::unique_ptr<Membership> Membership::create(const MembershipConfig& config, transfer::TransferEngine& engine,
                                               Callbacks callbacks) {
  return std::make_unique<MembershipHandle>(config, engine, std::move(callbacks));
}

}  // namespace mooncake::store
