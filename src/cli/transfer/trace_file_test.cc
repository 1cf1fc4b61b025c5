#include "cli/transfer/trace_file.h"

#include <gtest/gtest.h>

#include <map>
#include <nlohmann/json.hpp>

#include "cli/transfer/transfer_client.h"

namespace mooncake::cli {
namespace {

using transfer::TraceEvent;
using Kind = TraceEvent::Kind;

TraceEvent slice(Kind kind, std::uint64_t id, int at_us) {
  return {.kind = kind,
          .at = Instant(Micros(1'000'000 + at_us)),
          .peer = 7,
          .peer_name = "b",
          .id = id,
          .batch = 3,
          .transport = "tcp",
          .rail = "1",
          .write = true,
          .bytes = 4096};
}

TEST(TraceFile, SaysOfEachSliceItsPathTimeAndEnd) {
  TraceFile file;
  file.on_event(slice(Kind::kSliceBegin, 5, 0));
  TraceEvent end = slice(Kind::kSliceEnd, 5, 250);
  end.code = Code::kPeerLost;
  file.on_event(end);
  file.on_event({.kind = Kind::kPeerLost, .at = Instant(Micros(1'000'300)), .peer = 7, .peer_name = "b"});
  const auto events = nlohmann::json::parse(file.text());
  ASSERT_EQ(events.size(), 4u);
  EXPECT_EQ(events[0],
            nlohmann::json::parse(R"({"ph": "M", "name": "process_name", "pid": 1, "args": {"name": "b"}})"));
  EXPECT_EQ(events[1], nlohmann::json::parse(R"({"ph": "b", "cat": "slice", "name": "tcp 1 write", "pid": 1, "tid": 0,
      "ts": 0.0, "id": "1:5", "args": {"bytes": 4096, "batch": 3}})"));
  EXPECT_EQ(events[2], nlohmann::json::parse(R"({"ph": "e", "cat": "slice", "name": "tcp 1 write", "pid": 1, "tid": 0,
      "ts": 250.0, "id": "1:5", "args": {"bytes": 4096, "batch": 3, "status": "peer_lost"}})"));
  EXPECT_EQ(events[3]["ph"], "i");
  EXPECT_EQ(events[3]["ts"], 300.0);
}

TEST(TraceFile, KeepsNoMoreThanItMayAndEveryBeginningWithItsEnd) {
  TraceFile file(10);
  for (std::uint64_t id = 0; id < 8; ++id) file.on_event(slice(Kind::kSliceBegin, id, 0));
  for (std::uint64_t id = 0; id < 8; ++id) file.on_event(slice(Kind::kSliceEnd, id, 1));
  EXPECT_EQ(file.size(), 10u);
  EXPECT_EQ(file.dropped(), 6u);
  std::map<std::string, int> open;
  for (const auto& event : nlohmann::json::parse(file.text())) {
    if (event["ph"] == "b") ++open[event["id"]];
    if (event["ph"] == "e") --open[event["id"]];
  }
  EXPECT_EQ(open.size(), 5u);
  for (const auto& [id, count] : open) EXPECT_EQ(count, 0) << id;
}

TEST(TraceFile, EmptyOneIsAnEmptyList) { EXPECT_EQ(nlohmann::json::parse(TraceFile().text()).size(), 0u); }

TEST(TraceFile, EndWithoutABeginningIsNotKept) {
  TraceFile file;
  file.on_event(slice(Kind::kSliceEnd, 5, 0));  // began before there was a trace
  EXPECT_EQ(file.size(), 0u);
}

TEST(TraceFile, PeersOfTwoEnginesAreApartAndNothingIsHeardAfterTheScope) {
  TraceFile file;
  const Deadline deadline = SteadyClock().now() + Seconds(20);
  for (int engine = 0; engine < 2; ++engine) {
    auto client = TransferClient::connect_to_itself(8192);
    ASSERT_TRUE(client.ok()) << client.status().to_string();
    ASSERT_TRUE((*client)->allocate_local(4096).ok());
    const auto move = [&] { return (*client)->move(transfer::TransferRequest::Op::kRead, 0, deadline); };
    {
      const TraceScope scope(&file, (*client)->engine());
      ASSERT_TRUE(move().ok());
    }
    ASSERT_TRUE(move().ok());
    const TraceScope none(nullptr, (*client)->engine());
    ASSERT_TRUE(move().ok());
  }
  std::map<int, int> by_process;
  for (const auto& event : nlohmann::json::parse(file.text())) ++by_process[event["pid"]];
  EXPECT_EQ(by_process, (std::map<int, int>{{1, 5}, {2, 5}})) << "a name, a batch and a slice each";
}

TEST(TraceFile, FileThatCannotBeWrittenIsNamed) {
  const Status status = TraceFile().write("/nowhere/trace.json");
  EXPECT_EQ(status.code(), Code::kUnavailable);
  EXPECT_NE(status.message().find("/nowhere/trace.json"), std::string::npos);
  EXPECT_TRUE(TraceFile().write("").ok());
}

}  // namespace
}  // namespace mooncake::cli
