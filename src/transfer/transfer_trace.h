// TransferTrace: hears of every batch, slice and call of one engine as it begins and ends. For looking at single
// operations; the numbers of all of them are in stats(). An engine without one pays a comparison for each event.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/status.h"
#include "base/time.h"

namespace mooncake::transfer {

struct TraceEvent {
  enum class Kind : std::uint8_t {
    kBatchBegin,  ///< the loop has it; its slices may wait for room
    kBatchEnd,    ///< every buffer has been let go of
    kSliceBegin,  ///< a path takes it. A slice that is begun again, here or on another path, begins once more
    kSliceEnd,    ///< it is over on that path. kUnavailable: it goes another way
    kCallBegin,   ///< a message to the peer
    kCallEnd,     ///< its answer, or why there is none
    kPeerLost,    ///< the peer's epoch is over; what was under way has ended before
  };
  Kind kind = Kind::kBatchBegin;
  Instant at{};
  std::uint64_t peer = 0;        ///< the PeerHandle's value
  std::string_view peer_name{};  ///< as in TransferStats::peer; until the peer has said its name, where it listens
  std::uint64_t id = 0;          ///< of the batch, slice or call; unique among those of this kind to this peer
  std::uint64_t batch = 0;       ///< slices: the batch's id, or 0 if that has ended before
  std::string_view transport{};  ///< slices, as in TransferStats
  std::string_view rail{};       ///< slices, as in TransferStats
  bool write = false;            ///< slices
  std::uint64_t bytes = 0;       ///< batches, slices: payload. Calls: of the message, or of the answer
  Nanos took{0};                 ///< ends: since the beginning
  Code code = Code::kOk;         ///< ends
};

class TransferTrace {
 public:
  virtual ~TransferTrace() = default;
  /// On the engine's loop thread, on which everything waits meanwhile: must not block, nor call the engine. What the
  /// event names by string_view is gone afterwards.
  virtual void on_event(const TraceEvent& event) = 0;
};

}  // namespace mooncake::transfer
