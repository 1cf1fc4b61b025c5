#include "sim/trace/trace_writer.h"

#include <gtest/gtest.h>

#include <sstream>

#include "sim/trace/trace_reader.h"

namespace mooncake::sim {
namespace {

std::string trace_text(const Trace& trace) {
  std::ostringstream text;
  write_trace(trace, text);
  return text.str();
}

TEST(TraceWriter, WhatIsWrittenIsReadBack) {
  Trace trace;
  trace.blocks = {0, 1, 0, 1, 2};
  trace.distinct_blocks = 3;
  trace.requests = {{.arrival = Nanos(0), .input_tokens = 600, .output_tokens = 5, .block_count = 2},
                    {.arrival = Micros(1'234'567), .input_tokens = 7, .output_tokens = 0, .first_block = 2},
                    {.arrival = Seconds(3600),
                     .input_tokens = 1100,
                     .output_tokens = 9,
                     .first_block = 2,
                     .block_count = 3,
                     .tenant = 1,
                     .priority = conductor::Priority::kHigh}};
  trace.tenants = {"", "a \"b\""};
  const std::string text = trace_text(trace);
  std::istringstream in(text);
  const auto read = read_trace(in);
  ASSERT_TRUE(read.ok()) << read.status().message() << text;
  ASSERT_EQ(read->requests.size(), 3u);
  EXPECT_EQ(read->blocks, trace.blocks);
  EXPECT_EQ(read->distinct_blocks, 3u);
  EXPECT_EQ(read->requests[1].arrival, Micros(1'234'567));
  EXPECT_EQ(read->requests[1].block_count, 0u);
  EXPECT_EQ(read->requests[2].input_tokens, 1100u);
  EXPECT_EQ(read->requests[2].output_tokens, 9u);
  EXPECT_EQ(read->tenants, trace.tenants);
  EXPECT_EQ(read->requests[1].tenant, 0u);
  EXPECT_EQ(read->requests[2].tenant, 1u);
  EXPECT_EQ(read->requests[2].priority, conductor::Priority::kHigh);
}

TEST(TraceWriter, LinesLookAsPublishedOnesDo) {
  Trace trace;
  trace.blocks = {46, 47};
  trace.requests = {{.arrival = Millis(27482), .input_tokens = 695, .output_tokens = 52, .block_count = 2}};
  EXPECT_EQ(trace_text(trace),
            "{\"timestamp\": 27482, \"input_length\": 695, \"output_length\": 52, \"hash_ids\": [46, 47]}\n");
}

}  // namespace
}  // namespace mooncake::sim
