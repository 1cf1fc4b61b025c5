// The least that a round trip between two processes costs: sockets, epoll, and nothing else. What our messages are
// compared with.
#pragma once

#include <cstdint>

#include "base/status.h"
#include "base/time.h"
#include "cli/bench_transfer/load_result.h"
#include "transfer/fd.h"

namespace mooncake::cli {

/// Sends back whatever comes, on one connection after the other. For ForkedServer; returns only on an error.
void serve_ping_pong(int listener);

/// Sends `bytes` bytes to such a server and waits for as many, again and again for `duration`. Its CPU time is not
/// counted. @return kUnavailable with the system's reason.
Result<LoadResult> run_ping_pong(const transfer::Endpoint& server, std::uint64_t bytes, Nanos duration);

}  // namespace mooncake::cli
