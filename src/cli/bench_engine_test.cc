#include "cli/bench_engine.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace mooncake::cli {
namespace {

using kvcache::CostKind;

TEST(BenchEngine, RowsSetWhatWasMeasuredBesideWhatWasFitted) {
  const kvcache::CostProfile profile = *kvcache::builtin_profile("laptop");
  const std::vector<kvcache::CostSample> samples = {
      {.kind = CostKind::kPrefill, .length = 1000, .ms = 25},
      {.kind = CostKind::kPrefill, .length = 2048, .prefix = 1984, .ms = 1.28},
      {.kind = CostKind::kLoad, .prefix = 1024, .ms = 0.512},
      {.kind = CostKind::kStep, .batch = 4, .context = 128, .ms = 1.9},
  };
  const std::vector<BenchRow> rows = engine_rows(samples, profile, "laptop");
  const auto row = [&](std::string_view name) {
    const auto at = std::ranges::find(rows, name, &BenchRow::name);
    EXPECT_NE(at, rows.end()) << name;
    return at == rows.end() ? BenchRow{} : *at;
  };
  EXPECT_EQ(row("prefill_ms_1000").value, 25);
  EXPECT_DOUBLE_EQ(*row("prefill_ms_1000").baseline_value, 20);
  EXPECT_EQ(row("prefill_ms_1000").reason, "off by -20.0 %");
  EXPECT_EQ(row("prefill_ms_64_after_1984").reason, "off by +0.0 %");
  EXPECT_EQ(row("load_ms_1024").unit, "ms");
  EXPECT_EQ(row("step_ms_4x128").baseline, "fitted");
  EXPECT_NEAR(*row("deviation_percent_max").value, 20, 1e-9);
  EXPECT_EQ(row("deviation_percent_max").reason, "at prefill_ms_1000");
  EXPECT_EQ(row("prefill_ms_per_token2").unit, "ms/token2");
  EXPECT_EQ(row("link_bytes_per_ms").unit, "bytes/ms");
  EXPECT_NE(row("link_latency_ms").reason.find("laptop"), std::string::npos) << "says that it was not measured";
}

}  // namespace
}  // namespace mooncake::cli
