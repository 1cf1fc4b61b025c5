// For tests: breaks the sockets of engines in this process, as a network would.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "transfer/fd.h"

namespace mooncake::transfer {

/// The descriptors of this process that are connected to the TCP endpoint `name` of an engine: those that were dialled.
inline std::vector<int> sockets_to(const std::string& name) {
  std::vector<int> found;
  for (int fd = 3; fd < 4096; ++fd) {
    Endpoint there;
    there.size = sizeof there.address;
    if (::getpeername(fd, reinterpret_cast<sockaddr*>(&there.address), &there.size) != 0) continue;
    if (there.address.ss_family != AF_INET && there.address.ss_family != AF_INET6) continue;
    if (format_endpoint(there) == name) found.push_back(fd);
  }
  return found;
}

/// The TCP endpoints at which this process listens.
inline std::vector<std::string> listening() {
  std::vector<std::string> names;
  for (int fd = 3; fd < 4096; ++fd) {
    int listens = 0;
    socklen_t size = sizeof listens;
    if (::getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) != 0 || listens == 0) continue;
    const Result<Endpoint> here = local_endpoint(fd);
    if (here.ok() && here->address.ss_family == AF_INET) names.push_back(format_endpoint(*here));
  }
  return names;
}

/// The connected unix sockets of this process.
inline std::vector<int> unix_sockets() {
  std::vector<int> found;
  for (int fd = 3; fd < 4096; ++fd) {
    sockaddr_storage there{};
    socklen_t size = sizeof there;
    if (::getpeername(fd, reinterpret_cast<sockaddr*>(&there), &size) == 0 && there.ss_family == AF_UNIX) {
      found.push_back(fd);
    }
  }
  return found;
}

/// Ends a TCP connection with a reset: what is on its way is lost. A bare system call, because it stands for the
/// network: a checker of threads would take connect() for a use of the descriptor.
inline void reset_socket(int fd) {
  sockaddr none{};
  none.sa_family = AF_UNSPEC;
  ::syscall(SYS_connect, fd, &none, sizeof none);
}

/// Ends a connection in order, both ways.
inline void shut_socket(int fd) { ::syscall(SYS_shutdown, fd, SHUT_RDWR); }

}  // namespace mooncake::transfer
