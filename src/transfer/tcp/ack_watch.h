// AckWatch: for how long the other end of a TCP connection has acknowledged nothing although something was sent. Says
// that a path is dead long before the kernel gives up; a peer that is slow, or stopped, still acknowledges.
#pragma once

#include <cstdint>

#include "base/time.h"

namespace mooncake::transfer {

/// What the kernel knows of a connection (TCP_INFO).
struct AckState {
  bool waiting = false;     ///< something was sent that is not acknowledged
  std::uint64_t acked = 0;  ///< bytes acknowledged since the connection began
};

/// Of a connected TCP socket; nothing waits if the kernel does not say.
AckState read_ack_state(int fd);

class AckWatch {
 public:
  /// Looks at the state at `now`. @return for how long, at least, nothing was acknowledged; 0 if nothing waits. As
  /// exact as the calls are frequent.
  Nanos silence(const AckState& state, Instant now);

 private:
  bool waiting_ = false;
  std::uint64_t acked_ = 0;
  Instant since_{};
};

}  // namespace mooncake::transfer
