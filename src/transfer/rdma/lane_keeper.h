// LaneKeeper: sees to it that there is a message lane (message_lane.h) to one peer while there can be: opens it when
// both sides' ports are known, or serves the one that the peer opens, and again after it was lost. Of two engines the
// one with the larger epoch opens.
//
//   open_lane(lane, end, port)   -> theirs: makes its end, lane_opened(end), or lane_refused
//   connect, an empty piece      -> theirs: the lane is up there; once it is known to have arrived, here
//
// A lane that is lost is opened anew on other ports, if there are any, after 1 s, doubling to 60 s while that fails; or
// at once, when a port goes up or down. It takes a free place among the host's endpoints, and gives it up to one for
// bulk while it is idle. Loop thread only.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "transfer/context.h"
#include "transfer/rdma/lane_choice.h"
#include "transfer/rdma/message_lane.h"
#include "transfer/stats/rail_counters.h"
#include "transfer/tcp/redial_table.h"

namespace mooncake::transfer {

class LaneKeeper final : private RdmaHost::User, private MessageLane::User {
 public:
  /// Whose messages they are.
  class User {
   public:
    virtual ~User() = default;
    /// Sends a frame of kind rdma, as messages go now.
    virtual void send_lane_frame(RdmaFrame frame, std::uint64_t lane, std::string payload, Code code) = 0;
    /// Messages may go by the lane.
    virtual void on_lane_up() = 0;
    /// A frame has come by it. A failure is the peer's.
    virtual Status on_lane_message(const FrameHeader& header, std::string payload) = 0;
    /// It is over at this side: nothing more is heard of it. kUnavailable: it broke; else the peer is not to be
    /// trusted.
    virtual void on_lane_lost(std::uint64_t lane, const Status& why) = 0;
    /// The peer has fenced it already.
    [[nodiscard]] virtual bool knows_fenced(std::uint64_t lane) const = 0;
  };

  /// `theirs` is the peer's hello; it and `user` outlive close(). `label` names the peer in statistics.
  LaneKeeper(Context& context, RdmaHost& host, const Hello& theirs, const std::string& label, User& user);
  ~LaneKeeper() override { close(); }

  /// The peer's ports, at first and when they change.
  void on_remote_ports(const std::vector<RdmaAddress>& ports);
  /// One of the frames about lanes, but turn. A failure is a reason to end the peer.
  Status on_frame(RdmaFrame frame, const FrameHeader& header, std::string_view payload);

  [[nodiscard]] bool up() const { return lane_ && lane_->ready(); }
  /// Of the lane that is there; else 0.
  [[nodiscard]] std::uint64_t id() const { return id_; }
  /// While it is up().
  void send(OutFrame frame);
  /// Gives up the lane that is there.
  void lose(const Status& why);
  /// For good, without a word.
  void close();

 private:
  void on_ports_changed() override;
  [[nodiscard]] bool idle(std::uint64_t /*place*/) const override { return lane_->idle(); }
  void evict(std::uint64_t /*place*/) override { lose({Code::kUnavailable, "another endpoint needs its place"}); }
  void on_lane_ready() override;
  Status on_lane_frame(const FrameHeader& header, std::string payload) override;
  void on_lane_over(const Status& why) override { lose(why); }

  void try_open();
  Status open(const LaneChoice& at);
  Result<std::uint64_t> take_place();
  void try_later();
  Status on_open(std::uint64_t id, std::string_view payload);
  Result<std::string> serve(const RdmaOpen& open, std::uint64_t id, std::string_view asked);
  Status on_opened(std::uint64_t id, std::string_view payload);
  Status seal(std::string_view opened);
  void let_go();

  Context& context_;
  RdmaHost& host_;
  const Hello& theirs_;
  User& user_;
  const bool opens_;
  RailCounters counters_;  // by port of ours
  std::vector<RdmaAddress> remote_;
  std::unique_ptr<MessageLane> lane_;  // null: there is none
  std::uint64_t id_ = 0;
  std::uint64_t place_ = 0;  // of the host
  LaneChoice at_;
  std::string asked_;  // the payload of its open_lane
  std::size_t attempt_ = 0;
  RedialTable redials_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // told to posted tasks; null once closed
};

}  // namespace mooncake::transfer
