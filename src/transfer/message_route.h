// MessageRoute: what carries the messages to one peer: a TCP connection, or a message lane over RDMA (rdma/). Messages
// stay in order because at any time all of those that are sent and not acknowledged are on one carrier:
//
//   kTcp --turn--> kTurning --settled--> kLane      nothing more is sent until the peer has all that went by TCP
//   kTcp, kTurning --tcp_lost--> kNone --fenced--> kTcp      the peer hears no more of it, and has said what it has
//   kLane --lane_lost--> kNone; kTurning --lane_lost--> kTcp      nothing was on the lane yet
//
// Pure. Thread-compatible.
#pragma once

#include <cstdint>
#include <string_view>

namespace mooncake::transfer {

class MessageRoute {
 public:
  enum class Carrier : std::uint8_t {
    kNone,     ///< messages wait: before the first connection, and until a lost carrier is fenced
    kTcp,      ///< they go by a connection
    kTurning,  ///< they wait until what went by the connection is acknowledged
    kLane,     ///< they go by the lane
  };
  [[nodiscard]] Carrier carrier() const { return carrier_; }
  /// "tcp" or "rdma", by which a message goes that is given now: a literal.
  [[nodiscard]] std::string_view name() const {
    return carrier_ == Carrier::kLane || carrier_ == Carrier::kTurning ? "rdma" : "tcp";
  }

  /// There is a connection, and nothing is on any other carrier: at the beginning, and when a lost one is fenced.
  void to_tcp() { carrier_ = Carrier::kTcp; }
  /// There is a lane. @return true if the connection carries messages: the owner sends the last one, which asks for an
  /// acknowledgement.
  bool turn() {
    if (carrier_ != Carrier::kTcp) return false;
    carrier_ = Carrier::kTurning;
    return true;
  }
  /// All that was sent is acknowledged. @return true if messages go by the lane from now on.
  bool settled() {
    if (carrier_ != Carrier::kTurning) return false;
    carrier_ = Carrier::kLane;
    return true;
  }
  /// The connection that carries messages is lost.
  void tcp_lost() { carrier_ = Carrier::kNone; }
  /// The lane is lost. @return true if messages were on it, so that they wait until it is fenced.
  bool lane_lost() {
    const Carrier before = carrier_;
    if (before == Carrier::kTurning) carrier_ = Carrier::kTcp;
    if (before == Carrier::kLane) carrier_ = Carrier::kNone;
    return before == Carrier::kLane;
  }

 private:
  Carrier carrier_ = Carrier::kNone;
};

}  // namespace mooncake::transfer
