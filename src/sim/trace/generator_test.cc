#include "sim/trace/generator.h"

#include <gtest/gtest.h>

#include <sstream>

#include "sim/trace/trace_reader.h"
#include "sim/trace/trace_writer.h"
#include "sim/trace/workload.h"

namespace mooncake::sim {
namespace {

struct Published {
  const char* preset;
  std::uint64_t requests;
  double input_tokens;
  double output_tokens;
  double reuse;  // share of the cache
  double requests_per_s;
};

// FAST'25; the last from the span of the traces where one is given.
constexpr Published kPublished[] = {{"conversation", 12'031, 12'035, 343, 0.40, 3.34},
                                    {"toolagent", 23'608, 8'596, 182, 0.59, 6.56},
                                    {"synthetic", 3'993, 15'325, 149, 0.66, 1.11}};

TEST(Generator, PresetsHaveThePublishedMeans) {
  for (const Published& published : kPublished) {
    double input = 0, output = 0, reuse = 0, rate = 0;
    constexpr int kSeeds = 4;
    for (std::uint64_t seed = 1; seed <= kSeeds; ++seed) {
      const Workload workload = describe(generate_trace(*workload_shape(published.preset), published.requests, seed));
      EXPECT_EQ(workload.requests, published.requests);
      input += workload.input_tokens.mean / kSeeds;
      output += workload.output_tokens.mean / kSeeds;
      reuse += workload.reusable_blocks / kSeeds;
      rate += workload.requests_per_s / kSeeds;
    }
    EXPECT_NEAR(input / published.input_tokens, 1, 0.03) << published.preset;
    EXPECT_NEAR(output / published.output_tokens, 1, 0.03) << published.preset;
    EXPECT_NEAR(reuse, published.reuse, 0.015) << published.preset;
    EXPECT_NEAR(rate / published.requests_per_s, 1, 0.08) << published.preset;
  }
}

TEST(Generator, WhatIsWrittenIsWhatIsRead) {
  const Trace trace = generate_trace(*workload_shape("toolagent"), 300, 7);
  std::stringstream text;
  write_trace(trace, text);
  const auto read = read_trace(text);
  ASSERT_TRUE(read.ok()) << read.status().to_string();
  ASSERT_EQ(read->requests.size(), 300u);
  Nanos previous{0};
  for (std::size_t i = 0; i < 300; ++i) {
    const TraceRequest& wrote = trace.requests[i];
    const TraceRequest& got = read->requests[i];
    EXPECT_EQ(got.input_tokens, wrote.input_tokens);
    EXPECT_EQ(got.output_tokens, wrote.output_tokens);
    EXPECT_EQ(got.block_count, (wrote.input_tokens + kTraceBlockTokens - 1) / kTraceBlockTokens);
    EXPECT_LE(previous, got.arrival);
    previous = got.arrival;
  }
}

TEST(Generator, TheSameSeedGivesTheSameTrace) {
  const auto text = [](std::uint64_t seed) {
    std::ostringstream out;
    write_trace(generate_trace(*workload_shape("conversation"), 200, seed), out);
    return out.str();
  };
  EXPECT_EQ(text(3), text(3));
  EXPECT_NE(text(3), text(4));
}

TEST(Generator, UnknownPresetsAreNamed) {
  const auto shape = workload_shape("chat");
  ASSERT_FALSE(shape.ok());
  EXPECT_NE(shape.status().message().find("conversation, toolagent, synthetic"), std::string::npos);
}

}  // namespace
}  // namespace mooncake::sim
