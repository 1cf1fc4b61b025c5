// MasterLink: one member's session with the master: joins, sends heartbeats, and joins again whenever the session ends,
// because the connection broke, the master restarted, or it had expired us.
//
// Threads: everything on the engine's executor. Held by shared_ptr, because callbacks of the engine outlive calls.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/executor.h"
#include "base/time.h"
#include "store/client/retry_log.h"
#include "store/core/member.h"
#include "store/core/membership_core.h"
#include "transfer/transfer_engine.h"

namespace mooncake::store {

/// Six of them fit the heartbeat time-out: a few may be late on a busy machine.
inline constexpr Millis kHeartbeatPeriod{500};
/// Between attempts to reach a master that is away. Short: a restarted master waits for us; a refused loopback or rack
/// connection costs 100 us.
inline constexpr Millis kRejoinDelay{100};
/// A master that does not answer within this is asked again.
inline constexpr Millis kMasterCallTimeout{2'000};

class MasterLink : public std::enable_shared_from_this<MasterLink> {
 public:
  struct Session {
    SessionId id{};
    transfer::PeerHandle master;
  };
  struct Usage {
    std::uint64_t bytes_used = 0;
    std::uint64_t bytes_capacity = 0;
  };
  struct Hooks {
    std::function<void(const Session&)> joined;
    std::function<void()> lost;    ///< the session is over; joined comes again
    std::function<Usage()> usage;  ///< nodes: what heartbeats report; may be empty
  };

  /// `self` gets the engine's endpoint and a random epoch where these are empty. Nothing happens before start().
  static std::shared_ptr<MasterLink> create(std::string master, Member self, transfer::TransferEngine& engine,
                                            Hooks hooks);

  void start();
  /// No hook is called any more, and the engine is not touched.
  void stop();
  /// The owner learnt that the session is over.
  void rejoin();

 private:
  MasterLink(std::string master, Member self, transfer::TransferEngine& engine, Hooks hooks);
  void join();
  /// Tries again after kRejoinDelay.
  void not_joined(const Status& why);
  void joined(transfer::PeerHandle master, SessionId session);
  void beat();
  void at(Nanos delay, void (MasterLink::*what)());
  void cancel_timer();
  /// Runs `what` if this attempt is still the current one.
  template <typename What>
  auto guarded(What what);

  const std::string master_;
  const Member self_;
  transfer::TransferEngine& engine_;
  Executor& executor_;
  Hooks hooks_;
  bool stopped_ = false;
  std::uint64_t attempt_ = 0;  // counts joins, so that late answers to earlier ones are known
  std::optional<Session> session_;
  TimerId timer_{};
  RetryLog failures_;
};

}  // namespace mooncake::store
