// The simulated engine waits for a known time, so what the probe reports can be compared with it: never less, and with
// margins that a busy machine keeps, not much more.
#include "engine/engine_probe.h"

#include <gtest/gtest.h>

namespace mooncake::engine {
namespace {

using kvcache::CostKind;

std::unique_ptr<Engine> simulated(std::uint32_t sequences_max) {
  EngineConfig config;
  config.kind = "simulated";
  config.sequences_max = sequences_max;
  config.context_tokens = 1024;
  return std::move(make_engine(config)).value();
}

TEST(EngineProbe, MeasuresAtLeastWhatTheEngineWaits) {
  const auto engine = simulated(4);
  auto probe = EngineProbe::create(*engine, 768);
  ASSERT_TRUE(probe.ok()) << probe.status().message();
  EXPECT_GE(*probe->measure({.kind = CostKind::kPrefill, .length = 600}), 600 * 0.02);
  EXPECT_GE(*probe->measure({.kind = CostKind::kPrefill, .length = 768, .prefix = 512}), 256 * 0.02);
  EXPECT_GT(*probe->measure({.kind = CostKind::kLoad, .prefix = 768}), 0);
  EXPECT_GE(*probe->measure({.kind = CostKind::kStep, .batch = 4, .context = 640}), 2);
}

TEST(EngineProbe, APrefixIsNotComputedAgain) {
  const auto engine = simulated(1);
  auto probe = EngineProbe::create(*engine, 960);
  ASSERT_TRUE(probe.ok());
  const double whole = *probe->measure({.kind = CostKind::kPrefill, .length = 960});
  double rest = whole;
  for (int i = 0; i < 10 && rest > whole / 2; ++i) {
    rest = *probe->measure({.kind = CostKind::kPrefill, .length = 960, .prefix = 896});
  }
  EXPECT_LE(rest, whole / 2) << "64 tokens of 960";
}

TEST(EngineProbe, ClosesItsSequencesAlsoWhenItFails) {
  const auto engine = simulated(2);
  auto probe = EngineProbe::create(*engine, 256);
  ASSERT_TRUE(probe.ok());
  EXPECT_EQ(probe->measure({.kind = CostKind::kStep, .batch = 3, .context = 64}).status().code(), Code::kExhausted);
  EXPECT_TRUE(probe->measure({.kind = CostKind::kStep, .batch = 2, .context = 64}).ok());
  EXPECT_EQ(engine->capacity().sequences_open, 0u);
}

TEST(EngineProbe, WhatItHasNoBlocksForIsRefused) {
  const auto engine = simulated(1);
  auto probe = EngineProbe::create(*engine, 256);
  ASSERT_TRUE(probe.ok());
  for (const kvcache::CostSample& sample : {kvcache::CostSample{.kind = CostKind::kPrefill, .length = 257},
                                            kvcache::CostSample{.kind = CostKind::kLoad, .prefix = 100},
                                            kvcache::CostSample{.kind = CostKind::kStep, .batch = 1, .context = 320}}) {
    EXPECT_EQ(probe->measure(sample).status().code(), Code::kInvalidArgument);
  }
  EXPECT_EQ(EngineProbe::create(*engine, 2048).status().code(), Code::kOutOfRange);
}

}  // namespace
}  // namespace mooncake::engine
