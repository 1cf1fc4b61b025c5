#include "kvcache/roofline.h"

#include <gtest/gtest.h>

namespace mooncake::kvcache {
namespace {

// The factors were taken from this cluster, so the roofline has to give its profile back.
TEST(Roofline, GivesTheMeasuredClusterBack) {
  constexpr ModelShape kModel{
      .name = "llama3-70b", .parameters = 70.6e9, .layers = 80, .width = 8192, .kv_bytes_per_token = 320 * 1024};
  const CostProfile ours = roofline_profile(kModel, {"A800", 312e12, 2.039e12, 100e9 / 8}, 8);
  const CostProfile measured = builtin_profile("llama3-70b@8xA800").value();
  EXPECT_EQ(ours.name, measured.name);
  EXPECT_TRUE(ours.derived);
  EXPECT_FALSE(measured.derived);
  const auto same = [&](double CostProfile::*constant) { EXPECT_NEAR(ours.*constant / (measured.*constant), 1, 0.02); };
  same(&CostProfile::prefill_fixed_ms);
  same(&CostProfile::prefill_ms_per_token);
  same(&CostProfile::prefill_ms_per_token2);
  same(&CostProfile::load_fixed_ms);
  same(&CostProfile::load_ms_per_token);
  same(&CostProfile::step_fixed_ms);
  same(&CostProfile::step_ms_per_sequence);
  same(&CostProfile::step_ms_per_context_token);
  same(&CostProfile::link_latency_ms);
  same(&CostProfile::link_bytes_per_ms);
  same(&CostProfile::kv_bytes_per_token);
}

TEST(Roofline, ItsProfilesAreFoundByNameAndSayWhatTheyAre) {
  for (const CostProfile& profile : roofline_profiles()) {
    SCOPED_TRACE(profile.name);
    const auto found = builtin_profile(profile.name);
    ASSERT_TRUE(found.ok());
    EXPECT_TRUE(found->derived);
  }
}

TEST(Roofline, MoreMemoryBandwidthMakesStepsShorterAndLeavesPrefillAlone) {
  const CostProfile h100 = builtin_profile("llama3-70b@8xH100").value();
  const CostProfile h200 = builtin_profile("llama3-70b@8xH200").value();
  EXPECT_EQ(h200.prefill_ms_per_token, h100.prefill_ms_per_token);
  EXPECT_NEAR(h100.step_fixed_ms / h200.step_fixed_ms, 4.8 / 3.35, 1e-9);
}

}  // namespace
}  // namespace mooncake::kvcache
