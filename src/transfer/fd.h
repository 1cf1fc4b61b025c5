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
/// True for 0.0.0.0 and [::]: every address of this host, and no address for others.
[[nodiscard]] bool is_wildcard(const Endpoint& endpoint);
/// The same address with another port.
Endpoint with_port(Endpoint endpoint, std::uint16_t port);

/// A listening, non-blocking socket. @return kUnavailable with the reason.
Result<UniqueFd> listen_tcp(const Endpoint& endpoint);
Result<Endpoint> local_endpoint(int fd);
/// A non-blocking socket that connects in the background; wait until it is writable, then ask socket_error(). A refusal
/// may come at once. @return kUnavailable with the reason.
/// `from` null: the kernel chooses the address to come from.
Result<UniqueFd> connect_tcp(const Endpoint& endpoint, const Endpoint* from = nullptr);
/// A connection on which nothing moves is asked after 5 s, and broken 6 s later if nobody answers: a host that is gone
/// is noticed though nobody talks to it.
void set_keep_alive(int fd);
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
