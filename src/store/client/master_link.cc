#include "store/client/master_link.h"

#include <utility>

#include "base/log.h"
#include "base/rng.h"
#include "store/methods.h"
#include "store/wire.h"

namespace mooncake::store {
namespace {

Member complete(Member self, const transfer::TransferEngine& engine) {
  if (self.endpoint.empty()) self.endpoint = engine.name();
  if (self.epoch == 0) self.epoch = random_seed();
  return self;
}

}  // namespace

std::shared_ptr<MasterLink> MasterLink::create(std::string master, Member self, transfer::TransferEngine& engine,
                                               Hooks hooks) {
  std::shared_ptr<MasterLink> link(
      new MasterLink(std::move(master), complete(std::move(self), engine), engine, std::move(hooks)));
  engine.on_peer_lost([weak = std::weak_ptr<MasterLink>(link)](transfer::PeerHandle peer) {
    const auto alive = weak.lock();
    if (alive && alive->session_ && alive->session_->master == peer) alive->rejoin();
  });
  return link;
}

MasterLink::MasterLink(std::string master, Member self, transfer::TransferEngine& engine, Hooks hooks)
    : master_(std::move(master)),
      self_(std::move(self)),
      engine_(engine),
      executor_(engine.executor()),
      hooks_(std::move(hooks)) {}

void MasterLink::start() { join(); }

void MasterLink::stop() {
  stopped_ = true;
  session_.reset();
  cancel_timer();
}

void MasterLink::rejoin() {
  if (stopped_ || !session_) return;
  log_info("{} lost its session with the master at {}, joining again", self_.name, master_);
  session_.reset();
  ++attempt_;
  hooks_.lost();
  at(Millis{0}, &MasterLink::join);
}

template <typename What>
auto MasterLink::guarded(What what) {
  return [weak = weak_from_this(), attempt = attempt_, what = std::move(what)](Result<std::string> answer) {
    const auto self = weak.lock();
    if (self && !self->stopped_ && self->attempt_ == attempt) what(*self, std::move(answer));
  };
}

void MasterLink::join() {
  ++attempt_;
  const Result<transfer::PeerHandle> master = engine_.connect(master_);
  if (!master.ok()) return not_joined(master.status());
  pb::JoinRequest request;
  to_wire(self_, *request.mutable_member());
  const auto answered = [peer = *master](MasterLink& self, Result<std::string> answer) {
    const auto reply = answer.ok() ? parse<pb::JoinReply>(*answer) : Result<pb::JoinReply>(answer.status());
    if (!reply.ok()) return self.not_joined(reply.status());
    self.joined(peer, SessionId{reply->session()});
  };
  engine_.call(*master, kMethodJoin, request.SerializeAsString(), executor_.clock().now() + kMasterCallTimeout,
               guarded(answered));
}

void MasterLink::not_joined(const Status& why) {
  if (failures_.is_new(why)) {
    log_warn("{} cannot join the master at {}, trying on: {}", self_.name, master_, why.to_string());
  }
  at(kRejoinDelay, &MasterLink::join);
}

void MasterLink::joined(transfer::PeerHandle master, SessionId session) {
  session_ = Session{session, master};
  failures_.on_success();
  log_info("{} joined the master at {}", self_.name, master_);
  at(Millis{0}, &MasterLink::beat);  // at once: placement wants to know a node's size
  hooks_.joined(*session_);
}

void MasterLink::beat() {
  pb::HeartbeatRequest request;
  request.set_session(static_cast<std::uint64_t>(session_->id));
  if (hooks_.usage) {
    const Usage usage = hooks_.usage();
    request.set_bytes_used(usage.bytes_used);
    request.set_bytes_capacity(usage.bytes_capacity);
  }
  // A master that is slow keeps the session: it may be stopped, and will see that it was. Anything else ends it.
  const auto answered = [](MasterLink& self, const Result<std::string>& answer) {
    const bool slow = answer.status().code() == Code::kDeadlineExceeded;
    if (!answer.ok() && !slow) return self.rejoin();
    self.at(slow ? Millis{0} : kHeartbeatPeriod, &MasterLink::beat);
  };
  engine_.call(session_->master, kMethodHeartbeat, request.SerializeAsString(),
               executor_.clock().now() + kMasterCallTimeout, guarded(answered));
}

void MasterLink::at(Nanos delay, void (MasterLink::*what)()) {
  cancel_timer();
  timer_ = executor_.post_at(executor_.clock().now() + delay, [weak = weak_from_this(), what] {
    const auto self = weak.lock();
    if (!self || self->stopped_) return;
    self->timer_ = TimerId{};
    (self.get()->*what)();
  });
}

void MasterLink::cancel_timer() {
  if (timer_ != TimerId{}) executor_.cancel(std::exchange(timer_, TimerId{}));
}

}  // namespace mooncake::store
