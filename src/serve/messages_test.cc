#include "serve/messages.h"

#include <gtest/gtest.h>

#include <limits>

namespace mooncake::serve {
namespace {

TEST(Messages, APrefillReportSurvivesTheWire) {
  const auto report = parse_prefill_report(encode(PrefillReport{.cached_tokens = 64,
                                                                .published_blocks = 3,
                                                                .node = "node-1",
                                                                .queue_ms = 1.5,
                                                                .fetch_ms = 2.5,
                                                                .prefill_ms = 3.5,
                                                                .transfer_ms = 4.5,
                                                                .kv_checksum = 0x12345678}));
  ASSERT_TRUE(report.ok()) << report.status().to_string();
  EXPECT_EQ(report->cached_tokens, 64u);
  EXPECT_EQ(report->published_blocks, 3u);
  EXPECT_EQ(report->node, "node-1");
  EXPECT_EQ(report->queue_ms, 1.5);
  EXPECT_EQ(report->fetch_ms, 2.5);
  EXPECT_EQ(report->prefill_ms, 3.5);
  EXPECT_EQ(report->transfer_ms, 4.5);
  EXPECT_EQ(report->kv_checksum, 0x12345678u);
}

TEST(Messages, AWorkersStatisticsSurviveTheWire) {
  const auto stats = parse_worker_stats(encode(WorkerStats{.role = "decode",
                                                           .queued = 1,
                                                           .running = 2,
                                                           .outstanding_ms = 3.5,
                                                           .kv_tokens_used = 4,
                                                           .kv_tokens_max = 1ull << 40,
                                                           .tbt_ms = 6.5,
                                                           .sequences_max = 7,
                                                           .model = "abcd",
                                                           .draining = true,
                                                           .threads = 8}));
  ASSERT_TRUE(stats.ok()) << stats.status().to_string();
  EXPECT_EQ(stats->role, "decode");
  EXPECT_EQ(stats->queued, 1u);
  EXPECT_EQ(stats->running, 2u);
  EXPECT_EQ(stats->outstanding_ms, 3.5);
  EXPECT_EQ(stats->kv_tokens_used, 4u);
  EXPECT_EQ(stats->kv_tokens_max, 1ull << 40);
  EXPECT_EQ(stats->tbt_ms, 6.5);
  EXPECT_EQ(stats->sequences_max, 7u);
  EXPECT_EQ(stats->model, "abcd");
  EXPECT_TRUE(stats->draining);
  EXPECT_EQ(stats->threads, 8u);
}

TEST(Messages, AbsurdTimesAreCut) {
  const double infinite = std::numeric_limits<double>::infinity();
  const double no_number = std::numeric_limits<double>::quiet_NaN();
  const auto report = parse_prefill_report(
      encode(PrefillReport{.queue_ms = -5, .fetch_ms = no_number, .prefill_ms = infinite, .transfer_ms = 1e300}));
  ASSERT_TRUE(report.ok());
  EXPECT_EQ(report->queue_ms, 0);
  EXPECT_EQ(report->fetch_ms, 0);
  EXPECT_EQ(report->prefill_ms, 0);
  EXPECT_EQ(report->transfer_ms, kWireTimeMsMax);
  const auto stats = parse_worker_stats(encode(WorkerStats{.outstanding_ms = 1e300, .tbt_ms = -1}));
  ASSERT_TRUE(stats.ok());
  EXPECT_EQ(stats->outstanding_ms, kWireTimeMsMax);
  EXPECT_EQ(stats->tbt_ms, 0);
}

TEST(Messages, BytesThatAreNoMessageAreCorrupt) {
  EXPECT_EQ(parse_prefill_report("\xff\xff").status().code(), Code::kCorrupt);
  EXPECT_EQ(parse_worker_stats("\xff\xff").status().code(), Code::kCorrupt);
}

}  // namespace
}  // namespace mooncake::serve
