// Which network interface of this host a connection goes over.
#pragma once

#include <string>

namespace mooncake::transfer {

/// The name of the interface that has the local address of a connected socket: "eth0". "" for loopback, and if no
/// interface of this network namespace has it. Asks the kernel: some 50 us.
std::string local_interface(int fd);

}  // namespace mooncake::transfer
