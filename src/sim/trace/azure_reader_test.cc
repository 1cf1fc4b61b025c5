#include "sim/trace/azure_reader.h"

#include <gtest/gtest.h>

#include <sstream>

#include "sim/trace/trace_reader.h"

namespace mooncake::sim {
namespace {

Result<Trace> read(const std::string& text) {
  std::istringstream source(text);
  return read_trace(source);
}

TEST(AzureReader, ReadsTimesSinceTheFirstRequestAndLengths) {
  const auto trace = read(
      "TIMESTAMP,ContextTokens,GeneratedTokens\r\n"
      "2023-11-16 23:59:59.5000000,374,44\r\n"
      "2023-11-17 00:00:01.25,1,0\n"
      "2023-11-17 00:00:02+00:00,7000,2\n");
  ASSERT_TRUE(trace.ok()) << trace.status().to_string();
  ASSERT_EQ(trace->requests.size(), 3u);
  EXPECT_EQ(trace->requests[0].arrival, Nanos{0});
  EXPECT_EQ(trace->requests[1].arrival, Millis(1'750));
  EXPECT_EQ(trace->requests[2].arrival, Millis(2'500));
  EXPECT_EQ(trace->requests[0].input_tokens, 374u);
  EXPECT_EQ(trace->requests[0].output_tokens, 44u);
  EXPECT_EQ(trace->requests[0].block_count, 0u);
  EXPECT_EQ(trace->distinct_blocks, 0u);
}

TEST(AzureReader, TimeBeginsWithTheEarliestRequestWhereverItStands) {
  const auto trace = read(std::string(kAzureHeader) + "\n2023-11-16 10:00:01,5,5\n2023-11-16 10:00:00,5,5\n");
  ASSERT_TRUE(trace.ok());
  EXPECT_EQ(trace->requests[0].arrival, Seconds(1));
  EXPECT_EQ(trace->requests[1].arrival, Seconds(0));
}

TEST(AzureReader, NamesLineAndWhatIsWrong) {
  for (const auto& [line, expected] :
       std::vector<std::pair<std::string, std::string>>{{"2023-11-16 10:00:01,5", "two numbers"},
                                                        {"2023-13-16 10:00:01,5,5", "a time like"},
                                                        {"2023-02-30 10:00:01,5,5", "a time like"},
                                                        {"2023-11-16T10:00:01,5,5", "a time like"},
                                                        {"2023-11-16 10:00:01.,5,5", "a time like"},
                                                        {"2023-11-16 10:00:01+02:00,5,5", "a time like"},
                                                        {"2023-11-16 10:00:01,0,5", "prompt"},
                                                        {"2023-11-16 10:00:01,-5,5", "prompt"},
                                                        {"2023-11-16 10:00:01,5,many", "answer"},
                                                        {"2023-11-16 10:00:01,5,99999999999", "answer"}}) {
    const auto trace = read(std::string(kAzureHeader) + "\n2023-11-16 10:00:00,5,5\n" + line + "\n");
    ASSERT_FALSE(trace.ok()) << line;
    EXPECT_NE(trace.status().message().find("line 3"), std::string::npos) << trace.status().message();
    EXPECT_NE(trace.status().message().find(expected), std::string::npos) << trace.status().message();
  }
  EXPECT_FALSE(read(std::string(kAzureHeader) + "\n").ok()) << "no requests";
}

}  // namespace
}  // namespace mooncake::sim
