#include "cli/sse_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace mooncake::cli {
namespace {

using ::testing::ElementsAre;

constexpr std::string_view kStream =
    "data: {\"a\":1}\n\n: comment\nevent: x\ndata: two\ndata: lines\n\ndata: [DONE]\r\n\r\n";

TEST(SseReader, EventsAreTheSameInWhateverPiecesTheyCome) {
  for (std::size_t size = 1; size <= kStream.size(); ++size) {
    SseReader reader;
    std::vector<std::string> events;
    for (std::size_t at = 0; at < kStream.size(); at += size) {
      for (std::string& event : reader.add(kStream.substr(at, size))) events.push_back(std::move(event));
    }
    EXPECT_THAT(events, ElementsAre("{\"a\":1}", "two\nlines", "[DONE]")) << "pieces of " << size;
  }
}

TEST(SseReader, IncompleteEventWaits) {
  SseReader reader;
  EXPECT_THAT(reader.add("data: half"), ElementsAre());
  EXPECT_THAT(reader.add("\n"), ElementsAre());
  EXPECT_THAT(reader.add("\n"), ElementsAre("half"));
}

}  // namespace
}  // namespace mooncake::cli
