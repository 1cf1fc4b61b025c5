#include "transfer/tcp/ack_watch.h"

#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>

namespace mooncake::transfer {

AckState read_ack_state(int fd) {
  tcp_info info{};
  socklen_t size = sizeof info;
  if (::getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) != 0) return {};
  // Where the way out is gone (the interface is down, there is no route) nothing gets as far as to be unacknowledged. A
  // window with no room for a segment is another matter: then the other end does not read.
  const bool stuck = info.tcpi_notsent_bytes > 0 && info.tcpi_snd_wnd >= info.tcpi_snd_mss;
  return {.waiting = info.tcpi_unacked > 0 || stuck, .acked = info.tcpi_bytes_acked};
}

Nanos AckWatch::silence(const AckState& state, Instant now) {
  if (!state.waiting || !waiting_ || state.acked != acked_) since_ = now;
  waiting_ = state.waiting;
  acked_ = state.acked;
  return now - since_;
}

}  // namespace mooncake::transfer
