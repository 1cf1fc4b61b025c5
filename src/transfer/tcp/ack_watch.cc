#include "transfer/tcp/ack_watch.h"

#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>

namespace mooncake::transfer {

AckState read_ack_state(int fd) {
  tcp_info info{};
  socklen_t size = sizeof info;
  if (::getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) != 0) return {};
  return {.waiting = info.tcpi_unacked > 0, .acked = info.tcpi_bytes_acked};
}

Nanos AckWatch::silence(const AckState& state, Instant now) {
  if (!state.waiting || !waiting_ || state.acked != acked_) since_ = now;
  waiting_ = state.waiting;
  acked_ = state.acked;
  return now - since_;
}

}  // namespace mooncake::transfer
