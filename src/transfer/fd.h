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
/// What the kernel holds of a connection that stays on this host. Both ends copy at the speed of memory there: what is
/// on its way fits a core's cache when it is this little, which moves twice as much a second as the megabytes that the
/// kernel would let wait, and there is no distance to fill. `mooncake bench transfer` shows it.
inline constexpr int kHostSendBytes = 128 << 10;
/// Sets that for a connected socket whose ends are both on this host; else nothing.
void keep_near(int fd);

/// The same on abstract unix sockets: names that live in no file system and vanish with the process.
Result<UniqueFd> listen_unix(std::string_view name);
Result<UniqueFd> connect_unix(std::string_view name);

/// Why the last system call failed: "Connection refused".
std::string errno_text(int error);
/// That it failed only because a non-blocking socket has no bytes, or no room.
bool would_block(int error);

}  // namespace mooncake::transfer
