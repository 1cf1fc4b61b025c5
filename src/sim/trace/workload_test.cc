#include "sim/trace/workload.h"

#include <gtest/gtest.h>

#include <sstream>

#include "sim/trace/trace_reader.h"

namespace mooncake::sim {
namespace {

TEST(Workload, CountsWhatIsAskedForAgain) {
  std::istringstream source(
      "{\"timestamp\": 0, \"input_length\": 1000, \"output_length\": 10, \"hash_ids\": [1, 2]}\n"
      "{\"timestamp\": 2000, \"input_length\": 600, \"output_length\": 30, \"hash_ids\": [1, 3]}\n"
      "{\"timestamp\": 6000, \"input_length\": 700, \"output_length\": 20, \"hash_ids\": [4, 3]}\n");
  const Workload workload = describe(*read_trace(source));
  EXPECT_EQ(workload.requests, 3u);
  EXPECT_DOUBLE_EQ(workload.span_s, 6);
  EXPECT_DOUBLE_EQ(workload.requests_per_s, 0.5);
  EXPECT_DOUBLE_EQ(workload.input_tokens.mean, 2300.0 / 3);
  EXPECT_DOUBLE_EQ(workload.output_tokens.p50, 20);
  EXPECT_EQ(workload.block_refs, 6u);
  EXPECT_EQ(workload.distinct_blocks, 4u);
  EXPECT_DOUBLE_EQ(workload.used_once, 2.0 / 4) << "2 and 4";
  EXPECT_DOUBLE_EQ(workload.reusable_blocks, 2.0 / 6) << "1 and 3, the second time";
  EXPECT_DOUBLE_EQ(workload.reusable_tokens, 512.0 / 2300) << "3 does not lead";
  EXPECT_EQ(workload.hottest_block_requests, 2u);
  EXPECT_DOUBLE_EQ(workload.reuse_gap_s.mean, 3) << "2 s and 4 s";
}

TEST(Workload, OfOneRequestHasNoRateAndNoReuse) {
  std::istringstream source(R"({"timestamp": 5, "input_length": 1, "output_length": 0, "hash_ids": []})");
  const Workload workload = describe(*read_trace(source));
  EXPECT_DOUBLE_EQ(workload.requests_per_s, 0);
  EXPECT_DOUBLE_EQ(workload.reusable_blocks, 0);
  EXPECT_DOUBLE_EQ(workload.used_once, 0);
}

}  // namespace
}  // namespace mooncake::sim
