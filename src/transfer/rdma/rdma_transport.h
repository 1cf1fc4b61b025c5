// RdmaTransport: bulk over RDMA. The side that moves a slice asks the segment's owner for a grant of the range, and
// reads or writes it with one operation of its own; the owner's processor copies nothing.
//
//   grant(range, endpoint)   -> theirs: checks, holds and opens the range, granted(address, key, ticket)
//   READ, then the ticket       done here, when the bytes are in place
//   WRITE with the ticket    -> theirs: done(ok), when its device has said that the bytes are in place there
//
// A completion of a write at this side only says that the other device has the bytes, not that the other processor sees
// them: that is what done is for. An endpoint is a pair of queue pairs between a port here and one there, made when the
// first slice wants it. A slice whose endpoint fails waits for the owner's done, after which nothing of it can touch
// the range any more; then it goes over another rail, and if there is none, over another transport.
//
// While an operation is posted the device may touch the local memory: a slice that is given up then stays held until
// its completion, or until the endpoint is destroyed. Loop thread only.
#pragma once

#include <absl/container/flat_hash_map.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "transfer/context.h"
#include "transfer/rdma/grant_server.h"
#include "transfer/rdma/opened_endpoint.h"
#include "transfer/rdma/rdma_rails.h"
#include "transfer/slice_queue.h"
#include "transfer/stats/rail_counters.h"
#include "transfer/transport.h"

namespace mooncake::transfer {

/// Rails that one slice is tried on before another transport takes it.
inline constexpr std::uint32_t kRdmaTriesMax = 3;

class RdmaTransport final : public Transport, private RdmaHost::User {
 public:
  /// Sends a frame on the control connection, in order and reliably as long as the peer lives.
  using Send = std::function<void(const FrameHeader& header, std::string payload)>;

  RdmaTransport(Context& context, RdmaHost& host, SliceQueue& queue, PeerHandle handle, std::string peer, Send send);
  ~RdmaTransport() override;

  /// The peer has said which ports it has.
  [[nodiscard]] bool ready() const { return rails_.known(); }
  /// Those, as it said last.
  [[nodiscard]] const std::vector<RdmaAddress>& remote_ports() const { return rails_.remote(); }
  /// True if there is a rail for it now. Whether its memory can be registered shows later.
  [[nodiscard]] bool carries(const Slice& /*slice*/) const { return rails_.any_up(); }

  [[nodiscard]] std::string_view name() const override { return "rdma"; }
  /// Memory of a GPU, if all cards can.
  [[nodiscard]] bool reaches(const Slice& slice) override {
    return slice.kind == MemoryKind::kHost || host_.reaches_gpu(slice.local);
  }
  [[nodiscard]] std::size_t cut(const Slice& rest, Instant now) override {
    return rails_.cut(rest.local.size(), rest.location, now);
  }
  void start(SliceId id, const Slice& slice) override;
  Abandoned abandon(SliceId id, const Slice& slice) override;

  /// A frame of kind rdma. A failure is a reason to end the connection.
  Status on_frame(const FrameHeader& header, std::string_view payload);
  /// The peer can touch the segment no more; it is let go of when the devices have.
  void revoke(SegmentHandle segment) { server_.revoke(segment); }
  /// Lets go of all memory, here and now.
  void close();

 private:
  using Verdict = RdmaRails::Verdict;

  enum class State : std::uint8_t {
    kOpening,     ///< waits for the endpoint
    kAsking,      ///< waits for granted
    kMoving,      ///< posted: the device may touch the local memory
    kConfirming,  ///< a write that the other device has; waits for done
    kLost,        ///< the endpoint failed; waits for done
  };
  struct Move {
    Slice slice;
    State state = State::kOpening;
    bool given_up = false;  ///< its local memory is wanted back, or is back
    bool reported = false;  ///< nobody waits for a report (any more)
    std::uint32_t tries = 0;
    RailId rail{};
    std::uint64_t endpoint = 0;  ///< 0: on none
    RailSet tried;
    std::optional<Status> outcome;  ///< done came before the completion
    RdmaGranted granted;
    RegistrationPtr registration;
  };
  using Moves = absl::flat_hash_map<std::uint64_t, Move>;

  void on_ports_changed() override;
  [[nodiscard]] bool idle(std::uint64_t endpoint) const override;
  void evict(std::uint64_t endpoint) override { close_endpoint(endpoint, false); }

  Status on_ports(ConstByteSpan payload);
  Status on_opened(std::uint64_t endpoint, ConstByteSpan payload);
  Status on_granted(std::uint64_t id, ConstByteSpan payload);
  Status on_done(std::uint64_t id, const Status& status, bool other_transport);
  Status on_lost_done(std::uint64_t id, const Status& status);
  void on_moved(std::uint64_t id);

  void tell_ports();
  bool try_start(std::uint64_t id, Move& move);
  bool enter(RailId rail, Move& move);
  Result<OpenedEndpoint*> endpoint_on(RailId rail);
  void ask(std::uint64_t id, Move& move);
  void close_endpoint(std::uint64_t endpoint, bool rail_failed);
  void fail_endpoint(std::uint64_t endpoint, const Status& why);
  void lose(std::uint64_t id, bool rail_failed);
  void fail_endpoints(const std::function<bool(const RdmaRails::Rail&)>& match, const Status& why);
  PathCounters& counters_of(RailId rail) { return counters_[rails_[rail].local]; }
  void leave_rail(Move& move, Verdict verdict);
  void try_again(std::uint64_t id);
  void refuse(std::uint64_t id);
  void finish(std::uint64_t id, const Status& status);
  OpenedEndpoint::Hooks endpoint_hooks(std::uint64_t endpoint);
  void send(RdmaFrame frame, std::uint64_t id, std::string payload = {}, Code code = Code::kOk,
            std::uint16_t flags = 0);

  Context& context_;
  RdmaHost& host_;
  SliceQueue& queue_;
  const std::string peer_;
  RailCounters counters_;  // by port of ours
  Send send_;
  GrantServer server_;
  RdmaRails rails_;
  absl::flat_hash_map<std::uint64_t, std::unique_ptr<OpenedEndpoint>> endpoints_;
  Moves moves_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // told to posted tasks
};

}  // namespace mooncake::transfer
