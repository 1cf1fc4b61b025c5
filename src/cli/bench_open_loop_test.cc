#include "cli/bench_open_loop.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace mooncake::cli {
namespace {

Outcome answered(int ttft_ms, int tbt_ms) {
  return {.sent = true,
          .ttft = Millis(ttft_ms),
          .tbt = Millis(tbt_ms),
          .prompt_tokens = 100,
          .cached_tokens = 64,
          .answer_tokens = 10};
}

TEST(OpenLoopRows, CountWhatBecameOfEveryRequest) {
  const OpenLoopResult result{.outcomes = {answered(100, 10),
                                           answered(300, 10),
                                           answered(100, 90),
                                           {.sent = true, .refused = true},
                                           {.sent = true, .failed = true, .error = "gone"},
                                           {}},
                              .wall_s = 2};
  const std::vector<BenchRow> rows = open_loop_rows(result, {.ttft = Millis(200), .tbt = Millis(50)});
  const auto row = [&](std::string_view name) {
    const auto at = std::ranges::find(rows, name, &BenchRow::name);
    EXPECT_NE(at, rows.end()) << name;
    return at == rows.end() ? BenchRow{} : *at;
  };
  EXPECT_EQ(row("requests").value, 6);
  EXPECT_EQ(row("completed").value, 3);
  EXPECT_EQ(row("refused").value, 1);
  EXPECT_EQ(row("failed").value, 1);
  EXPECT_EQ(row("failed").reason, "gone");
  EXPECT_EQ(row("not_sent").value, 1);
  EXPECT_EQ(row("goodput_rps").value, 0.5) << "one request met both objectives, in two seconds";
  EXPECT_EQ(row("goodput_share").value, 1.0 / 6);
  EXPECT_NEAR(row("ttft_ms_mean").value.value(), 500.0 / 3, 1e-9);
  EXPECT_EQ(row("ttft_ms_p50").value, 100);
  EXPECT_EQ(row("cached_tokens").value, 192);
  EXPECT_EQ(row("prompt_tokens").value, 300);
  EXPECT_EQ(row("answer_tokens_per_s").value, 15);
}

TEST(OpenLoop, NobodyThereIsAnError) {
  const OpenLoop loop{.gateway = {.url = "http://127.0.0.1:1"},
                      .model = "m",
                      .arrivals = {{.at_s = 0}, {.at_s = 0.01}},
                      .prompt = [](std::size_t) { return std::string("x"); }};
  EXPECT_EQ(run_open_loop(loop).status().code(), Code::kUnavailable);
}

}  // namespace
}  // namespace mooncake::cli
