// TcpTransport: bulk over the TCP connections to one peer, both as the side that asks and as the side that serves.
//
// A write frame carries its data; the target checks the range when the head has come, lets the data land in it, and
// answers done. A read is answered by a data frame that lands in the range that asked. A slice takes the rail on which
// it arrives first (rail_planner.h), and there the connection with the least waiting. What lands, and what is being
// sent, can be let go at once: late bytes are thrown away, unsent ones are copied.
//
// When a connection is lost its slices wait until the peer has said that nothing of it can reach its memory any more;
// then they begin again on another. Both ways a slice moves the same bytes to the same place, so it may move them
// twice.
//
// What a peer wants of a device here passes through the staging ring (cuda/). A write lands in a slot and is answered
// when it has been copied on. If no slot is free it lands in other memory, and the connection is read no further until
// there is one: so a peer is held up by its full window, and holds at most a frame or two of ours. A read waits for its
// slot.
//
// Loop thread only.
#pragma once

#include <absl/container/flat_hash_map.h>

#include <memory>
#include <string>
#include <vector>

#include "transfer/connection.h"
#include "transfer/context.h"
#include "transfer/cuda/device_landings.h"
#include "transfer/rail/rail_planner.h"
#include "transfer/rail/rail_weights.h"
#include "transfer/slice_queue.h"
#include "transfer/stats/rail_counters.h"
#include "transfer/tcp/connection_set.h"
#include "transfer/transport.h"

namespace mooncake::transfer {

/// Reads of a peer that are being answered; its own window is 64 here, other versions may have a larger one.
inline constexpr std::size_t kAnsweredReadsMax = 4096;

class TcpTransport final : public Transport {
 public:
  /// `handle` is the peer, `peer` its name in statistics; `rails` how many there are, at most kEndpointsMax.
  /// What is written to devices goes on by `landings`.
  TcpTransport(Context& context, SliceQueue& queue, DeviceLandings& landings, PeerHandle handle, std::string peer,
               std::size_t rails);

  ConnectionSet& connections() { return connections_; }
  /// One more connection, which is live.
  void add(std::shared_ptr<Connection> connection, const Link& link);
  [[nodiscard]] std::size_t rail_count() const { return weights_.size(); }
  [[nodiscard]] PathCounters& counters(std::size_t rail) { return counters_[rail]; }
  /// The connection is over: it is taken out, what the peer asked on it is let go of, and our slices on it wait for
  /// begin_again(). @return its names; id 0 if it is not one of ours.
  Link lose(Connection& connection);
  /// Nothing of that lost connection can reach the peer's memory any more.
  void begin_again(std::uint64_t connection_id);
  /// True while slices or answers are under way.
  [[nodiscard]] bool busy() const { return !sent_.empty() || !answers_.empty() || !device_landings_.idle(); }

  [[nodiscard]] std::string_view name() const override { return "tcp"; }
  [[nodiscard]] std::size_t cut(const Slice& rest, Instant now) override;
  void start(SliceId id, const Slice& slice) override;
  Abandoned abandon(SliceId id, const Slice& slice) override;

  /// The frames of this transport, as Connection::Handler describes. A failure is a reason to end the connection.
  Status on_read(Connection& from, const FrameHeader& header, std::string_view payload);
  Status on_done(const FrameHeader& header, std::string_view payload);
  /// The peer gives up a read: what of the answer has not begun to go out does not.
  void on_cancel(std::uint64_t request_id);
  std::byte* on_bulk(Connection& from, const FrameHeader& header, const BulkRange& range);
  Status on_bulk_end(Connection& from, const FrameHeader& header, const BulkRange& range);
  void on_bulk_sent(const FrameHeader& header);

  /// Lets go of a segment: nothing lands in it or is sent from it after this.
  void revoke(SegmentHandle segment);
  /// Closes the connections and lets go of everything.
  void close(const Status& reason, bool tell);

 private:
  /// A slice of ours that was sent.
  struct Sent {
    Connection* connection = nullptr;  // null: lost, it waits for begin_again()
    RailId rail{};
    std::size_t bytes = 0;
  };
  /// A bulk payload that is arriving on a connection.
  struct Landing {
    FrameKind kind = FrameKind::kData;
    std::uint64_t request_id = 0;
    SegmentHandle segment;        // of a write, while it is held
    Status status;                // of a write: the answer. Of data: a reason to close
    bool asked = false;           // of data: a slice that is with this transport waited for it when it began
    std::byte* device = nullptr;  // where a write goes from `arrived`, if not null
    DeviceLandings::Arrived arrived = {};
  };
  /// A read that is being answered.
  struct Answer {
    SegmentHandle segment;  // while it is held; none if the bytes are a device's
    Connection* connection = nullptr;
    std::size_t bytes = 0;
    // Of a device's bytes, which are sent from the slot.
    std::uint64_t number = 0;    // tells it from a later one with the same request id
    std::uint64_t fetching = 0;  // of the CudaHost; 0 once they are in the slot
    StagingSlot slot = {};
  };

  PathCounters& counters_of(const Connection& connection) { return counters_[connections_.rail_of(connection)]; }
  [[nodiscard]] RailSet empty_rails() const;
  RailId choose_rail(const Slice& slice);
  enum class Outcome : std::uint8_t { kDone, kAbandoned };
  void settle(std::uint64_t request_id, Outcome outcome);
  void take_back(std::uint64_t request_id);
  void divert_data(std::uint64_t request_id);
  Status begin_data(const Connection& from, const FrameHeader& header, const BulkRange& range, Landing& begun,
                    std::byte*& to);
  std::byte* begin_write(const BulkRange& range, Landing& landing);
  void land_on_device(Connection& from, std::uint64_t request_id, const BulkRange& range, Landing landing);
  void fetch(Connection& from, std::uint64_t request_id, const BulkRange& range, const std::byte* device);
  void on_fetched(std::uint64_t request_id, std::uint64_t number, Result<StagingSlot> slot);
  void let_go(const Answer& answer);
  static void send_done(Connection& to, std::uint64_t request_id, const Status& status);

  Context& context_;
  SliceQueue& queue_;
  const PeerHandle peer_handle_;
  RailCounters counters_;
  ConnectionSet connections_;
  absl::flat_hash_map<std::uint64_t, Sent> sent_;  // by request id
  RailPlanner planner_;
  RailWeights weights_;
  absl::flat_hash_map<std::uint64_t, std::vector<std::uint64_t>> stranded_;  // those, by lost connection
  absl::flat_hash_map<Connection*, Landing> landings_;
  absl::flat_hash_map<std::uint64_t, Answer> answers_;
  DeviceLandings& device_landings_;
  std::uint64_t last_fetch_ = 0;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // told to copies
};

}  // namespace mooncake::transfer
