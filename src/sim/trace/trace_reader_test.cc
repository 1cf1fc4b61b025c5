#include "sim/trace/trace_reader.h"

#include <gtest/gtest.h>

#include <sstream>
#include <vector>

namespace mooncake::sim {
namespace {

Result<Trace> read(const std::string& text) {
  std::istringstream source(text);
  return read_trace(source);
}

TEST(TraceReader, KeepsOrderTimesLengthsAndNumbersBlocksByFirstAppearance) {
  const auto trace = read(
      "{\"timestamp\": 0, \"input_length\": 1025, \"output_length\": 7, \"hash_ids\": [900, 5, 7], \"user\": \"x\"}\n"
      "\n"
      "{\"timestamp\": 1500.5, \"input_length\": 1, \"output_length\": 0, \"hash_ids\": [900, "
      "18446744073709551615]}\r\n"
      "{\"timestamp\": 3, \"input_length\": 9, \"output_length\": 1, \"hash_ids\": []}");
  ASSERT_TRUE(trace.ok()) << trace.status().to_string();
  ASSERT_EQ(trace->requests.size(), 3u);
  EXPECT_EQ(trace->requests[0].input_tokens, 1025u);
  EXPECT_EQ(trace->requests[0].output_tokens, 7u);
  EXPECT_EQ(trace->requests[1].arrival, Micros(1'500'500));
  EXPECT_EQ(trace->requests[2].block_count, 0u);
  const auto blocks = [&](int number) {
    const auto span = trace->blocks_of(trace->requests[number]);
    return std::vector<TraceBlock>(span.begin(), span.end());
  };
  EXPECT_EQ(blocks(0), (std::vector<TraceBlock>{0, 1, 2}));
  EXPECT_EQ(blocks(1), (std::vector<TraceBlock>{0, 3}));
  EXPECT_EQ(trace->distinct_blocks, 4u);
}

TEST(TraceReader, TenantsAreNamesOrNumbersAndPrioritiesNamed) {
  const std::string begin = R"({"timestamp": 0, "input_length": 9, "output_length": 1, "hash_ids": [])";
  const auto trace = read(begin + "}\n" + begin + R"(, "tenant": "b", "priority": "low"})" + "\n" + begin +
                          R"(, "tenant": 7, "priority": "high"})" + "\n" + begin + R"(, "tenant": "b"})" + "\n" +
                          begin + R"(, "tenant": "7"})");
  ASSERT_TRUE(trace.ok()) << trace.status().to_string();
  EXPECT_EQ(trace->tenants, (std::vector<std::string>{"", "b", "7"}));
  std::vector<std::uint16_t> tenants;
  for (const TraceRequest& request : trace->requests) tenants.push_back(request.tenant);
  EXPECT_EQ(tenants, (std::vector<std::uint16_t>{0, 1, 2, 1, 2}));
  EXPECT_EQ(trace->requests[0].priority, conductor::Priority::kNormal);
  EXPECT_EQ(trace->requests[1].priority, conductor::Priority::kLow);
  EXPECT_EQ(trace->requests[2].priority, conductor::Priority::kHigh);
  std::string many;
  for (std::size_t i = 0; i < kTraceTenantsMax; ++i) many += begin + ", \"tenant\": " + std::to_string(i) + "}\n";
  EXPECT_NE(read(many).status().message().find("more than 256 tenants"), std::string::npos);
}

TEST(TraceReader, NamesLineAndMemberOfWhatIsNoRequest) {
  const std::string good = R"({"timestamp": 1, "input_length": 2, "output_length": 3, "hash_ids": [4]})"
                           "\n";
  const std::pair<std::string, std::string> cases[] = {
      {"{", "line 2: expected a JSON object"},
      {"[1]", "line 2: expected a JSON object"},
      {R"({"input_length": 2, "output_length": 3, "hash_ids": []})", "\"timestamp\""},
      {R"({"timestamp": -1, "input_length": 2, "output_length": 3, "hash_ids": []})", "\"timestamp\""},
      {R"({"timestamp": 1e300, "input_length": 2, "output_length": 3, "hash_ids": []})", "\"timestamp\""},
      {R"({"timestamp": 1, "input_length": 0, "output_length": 3, "hash_ids": []})", "\"input_length\""},
      {R"({"timestamp": 1, "input_length": 2.5, "output_length": 3, "hash_ids": []})", "\"input_length\""},
      {R"({"timestamp": 1, "input_length": 2, "output_length": 99999999999, "hash_ids": []})", "\"output_length\""},
      {R"({"timestamp": 1, "input_length": 2, "output_length": 3, "hash_ids": [1, -2]})", "\"hash_ids\""},
      {R"({"timestamp": 1, "input_length": 2, "output_length": 3, "hash_ids": {}})", "\"hash_ids\""},
      {R"({"timestamp": 1, "input_length": 2, "output_length": 3, "hash_ids": [], "tenant": -1})", "\"tenant\""},
      {R"({"timestamp": 1, "input_length": 2, "output_length": 3, "hash_ids": [], "priority": "urgent"})",
       "low, normal, high"},
      {R"({"timestamp": 1, "input_length": 2, "output_length": 3, "hash_ids": [], "priority": 2})",
       "low, normal, high"},
  };
  for (const auto& [line, expected] : cases) {
    const Status status = read(good + line).status();
    EXPECT_EQ(status.code(), Code::kInvalidArgument) << line;
    EXPECT_NE(status.message().find("line 2: "), std::string::npos) << status.message();
    EXPECT_NE(status.message().find(expected), std::string::npos) << status.message();
  }
}

TEST(TraceReader, RefusesEmptySourcesEndlessLinesAndMissingFiles) {
  EXPECT_EQ(read("\n \n").status().code(), Code::kInvalidArgument);
  EXPECT_NE(read(std::string(kTraceLineBytesMax + 1, ' ')).status().message().find("longer"), std::string::npos);
  const Status missing = read_trace_file("/no/such/trace.jsonl").status();
  EXPECT_EQ(missing.code(), Code::kNotFound);
  EXPECT_NE(missing.message().find("/no/such/trace.jsonl"), std::string::npos);
}

}  // namespace
}  // namespace mooncake::sim
