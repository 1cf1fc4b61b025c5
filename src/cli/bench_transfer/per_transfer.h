// An engine that makes a connection for each transfer: connect, send a request head, receive the block, close. Plain
// blocking sockets with a thread for each transfer at both sides. What our persistent connections are compared with.
//
// It goes through as many blocks as a batch of ours has, at both sides: one block used again and again would stay in
// the processor's cache, and be read and written several times as fast.
#pragma once

#include <cstdint>

#include "base/status.h"
#include "base/time.h"
#include "cli/bench_transfer/load_result.h"
#include "transfer/fd.h"

namespace mooncake::cli {

/// Answers each connection's request with as many bytes as it asks for, and closes it. For ForkedServer; returns only
/// on an error.
void serve_per_transfer(int listener);

/// Reads blocks of 1 MiB for `duration`. CPU time is not counted. @return kUnavailable with the system's reason.
Result<LoadResult> run_per_transfer(const transfer::Endpoint& server, Nanos duration);

}  // namespace mooncake::cli
