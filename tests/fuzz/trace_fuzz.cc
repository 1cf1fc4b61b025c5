// Any bytes are a trace or an error; a trace's requests stay within its blocks, and replay without a crash.
#include <cstdint>
#include <sstream>
#include <string>

#include "base/check.h"
#include "sim/cache/cache_replay.h"
#include "sim/trace/trace_reader.h"

using namespace mooncake::sim;  // NOLINT: a program of one function

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::istringstream source(std::string(reinterpret_cast<const char*>(data), size));
  const auto trace = read_trace(source);
  if (!trace.ok()) return 0;
  for (const TraceRequest& request : trace->requests) {
    CHECK(request.first_block + request.block_count <= trace->blocks.size());
    for (const TraceBlock block : trace->blocks_of(request)) CHECK(block < trace->distinct_blocks);
  }
  CHECK(replay_cache(*trace, {.policy = "s3fifo", .capacity_blocks = 2, .nodes = 2}).ok());
  return 0;
}
