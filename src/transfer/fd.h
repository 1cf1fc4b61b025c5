// The few socket calls that the transfer engine makes, as Result.
#pragma once

#include <sys/socket.h>

#include <string>
#include <string_view>

#include "base/status.h"
#include "base/unique_fd.h"

namespace mooncake::transfer {

/// A numeric TCP address, as the kernel wants it.
struct Endpoint {
  sockaddr_storage address{};
  socklen_t size = 0;
};

/// Parses "127.0.0.1:80", "[::1]:80" or "localhost:80". @return kInvalidArgument for anything else; no name is
/// resolved.
Result<Endpoint> parse_endpoint(std::string_view text);
/// The canonical text: two names of one endpoint give the same.
std::string format_endpoint(const Endpoint& endpoint);
[[nodiscard]] bool is_loopback(const Endpoint& endpoint);
/// 0.0.0.0 or [::]: a place to listen, and none to connect to.
[[nodiscard]] bool is_any_address(const Endpoint& endpoint);

/// A listening, non-blocking socket. @return kUnavailable with the reason.
Result<UniqueFd> listen_tcp(const Endpoint& endpoint);
Result<Endpoint> local_endpoint(int fd);
/// A non-blocking socket that connects in the background; wait until it is writable, then ask socket_error(). A refusal
/// may come at once. @return kUnavailable with the reason.
Result<UniqueFd> connect_tcp(const Endpoint& endpoint);
/// A pending error of the socket, or 0.
int socket_error(int fd);
/// Small frames leave at once: requests do not wait for the acknowledgement of the one before (Nagle).
void set_no_delay(int fd);

/// The same on abstract unix sockets: names that live in no file system and vanish with the process.
Result<UniqueFd> listen_unix(std::string_view name);
Result<UniqueFd> connect_unix(std::string_view name);

/// Why the last system call failed: "Connection refused".
std::string errno_text(int error);

}  // namespace mooncake::transfer
