// Batch::State: a batch from submit() until every buffer of it has been let go of. Loop thread only, after submit().
#pragma once

#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "base/executor.h"
#include "base/time.h"
#include "transfer/transfer_engine.h"

namespace mooncake::transfer {

struct Batch::State {
  PeerHandle peer;
  std::vector<TransferRequest> requests;
  Deadline deadline = kNever;
  Instant begun{};       ///< when it was submitted
  std::uint64_t id = 0;  ///< among those to its peer
  std::optional<Notify> notify;
  BatchCallback done;
  std::vector<SegmentHandle> held;  ///< local segments, held until the end
  std::vector<MemoryKind> kinds;    ///< of each request's local memory

  std::size_t next_request = 0;  ///< the first request of which something has not been started
  std::size_t next_offset = 0;   ///< bytes of it that have been started
  std::size_t in_flight = 0;     ///< slices whose local memory a medium may touch
  std::uint64_t notify_id = 0;   ///< the notify in flight
  Status status;                 ///< the first failure
  TimerId timer{0};
  std::string_view transport;  ///< that took its last slice; empty before the first
  bool finished = false;

  [[nodiscard]] bool all_started() const { return next_request == requests.size(); }
};

}  // namespace mooncake::transfer
