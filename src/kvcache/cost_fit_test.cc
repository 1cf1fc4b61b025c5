// Known constants make measurements, and the fit must find predictions again. Constants themselves are compared only
// where there is no noise: several sets of them predict the same.
#include "kvcache/cost_fit.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/rng.h"

namespace mooncake::kvcache {
namespace {

CostSample prefill(std::uint32_t length, std::uint32_t prefix) {
  return {.kind = CostKind::kPrefill, .length = length, .prefix = prefix};
}
CostSample load(std::uint32_t prefix) { return {.kind = CostKind::kLoad, .prefix = prefix}; }
CostSample decode(std::uint32_t batch, std::uint32_t context) {
  return {.kind = CostKind::kStep, .batch = batch, .context = context};
}

std::vector<CostSample> points() { return *plan_cost_samples(2048, 64); }

// The points as `truth` would take, each off by up to `noise` of itself.
std::vector<CostSample> measured(const CostProfile& truth, double noise, std::uint64_t seed) {
  Rng rng(seed);
  std::vector<CostSample> all = points();
  for (CostSample& sample : all) sample.ms = predicted_ms(truth, sample) * (1 + noise * (2 * rng.uniform() - 1));
  return all;
}

CostProfile smollm2() { return *builtin_profile("smollm2-cpu"); }

TEST(CostFit, PlanStaysWithinTheContextAndPrefixesAreWholeBlocks) {
  for (const std::uint32_t tokens_max : {512u, 600u, 2048u, 4095u}) {
    const auto plan = plan_cost_samples(tokens_max, 64);
    ASSERT_TRUE(plan.ok());
    for (const CostSample& sample : *plan) {
      EXPECT_LE(std::max({sample.length, sample.prefix, sample.context}), tokens_max);
      EXPECT_EQ(sample.prefix % 64 + sample.context % 64, 0u);
      if (sample.kind != CostKind::kPrefill) continue;
      EXPECT_GE(sample.length, sample.prefix + 64);
    }
    std::vector<CostSample> timed = *plan;
    for (CostSample& sample : timed) sample.ms = predicted_ms(smollm2(), sample);
    EXPECT_TRUE(fit_cost_profile(timed, {}).ok()) << tokens_max;
  }
  EXPECT_EQ(plan_cost_samples(511, 64).status().code(), Code::kUnsupported);
}

TEST(CostFit, ExactMeasurementsGiveTheConstantsBack) {
  for (const char* name : {"smollm2-cpu", "llama3-70b@8xA800"}) {
    const CostProfile truth = *builtin_profile(name);
    const auto fitted = fit_cost_profile(measured(truth, 0, 1), {});
    ASSERT_TRUE(fitted.ok()) << fitted.status().message();
    EXPECT_NEAR(fitted->prefill_fixed_ms, truth.prefill_fixed_ms, 1e-6);
    EXPECT_NEAR(fitted->prefill_ms_per_token / truth.prefill_ms_per_token, 1, 1e-6);
    EXPECT_NEAR(fitted->prefill_ms_per_token2 / truth.prefill_ms_per_token2, 1, 1e-6);
    EXPECT_NEAR(fitted->load_fixed_ms, truth.load_fixed_ms, 1e-6);
    EXPECT_NEAR(fitted->step_ms_per_sequence, truth.step_ms_per_sequence, 1e-6);
    EXPECT_NEAR(fitted->step_ms_per_context_token / truth.step_ms_per_context_token, 1, 1e-6);
  }
}

TEST(CostFit, NoiseOfOnePercentLeavesPredictionsWithinTwo) {
  const CostProfile truth = smollm2();
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    const auto fitted = fit_cost_profile(measured(truth, 0.01, seed), {});
    ASSERT_TRUE(fitted.ok()) << fitted.status().message();
    std::vector<CostSample> asked = points();
    for (const std::uint32_t n : {100u, 777u, 1500u, 3000u}) asked.push_back(prefill(n, n / 2));
    asked.push_back(decode(3, 500));
    for (CostSample& sample : asked) {
      sample.ms = predicted_ms(truth, sample);
      EXPECT_LE(std::abs(deviation(*fitted, sample)), 0.02) << "seed " << seed;
    }
  }
}

TEST(CostFit, AgreesWithTheCostModel) {
  const CostProfile profile = smollm2();
  const auto model = make_cost_model(profile);
  EXPECT_NEAR(predicted_ms(profile, prefill(2048, 1024)) + predicted_ms(profile, load(1024)),
              to_ms(model->prefill(0, 2048, 1024)), 1e-5);
  EXPECT_NEAR(predicted_ms(profile, decode(4, 500)), to_ms(model->tbt(0, 4, 2000)), 1e-5);
}

// The paper's engine has no cost a sequence to speak of; noise would make it, and the quadratic term, negative.
TEST(CostFit, ConstantsAreNeverNegative) {
  CostProfile truth = smollm2();
  truth.prefill_fixed_ms = 0;
  truth.prefill_ms_per_token2 = 0;
  truth.load_fixed_ms = 0;
  truth.step_ms_per_sequence = 0;
  bool bounded = false;
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    const auto fitted = fit_cost_profile(measured(truth, 0.05, seed), {});
    ASSERT_TRUE(fitted.ok()) << fitted.status().message();
    for (const double value : {fitted->prefill_fixed_ms, fitted->prefill_ms_per_token, fitted->prefill_ms_per_token2,
                               fitted->load_fixed_ms, fitted->load_ms_per_token, fitted->step_fixed_ms,
                               fitted->step_ms_per_sequence, fitted->step_ms_per_context_token}) {
      EXPECT_GE(value, 0);
      bounded |= value == 0;
    }
  }
  EXPECT_TRUE(bounded) << "none of the fits met the bound, so the test shows nothing";
}

// Twin: a bounded fit is no worse than any constants near it that keep the bound.
TEST(CostFit, NoNeighbourIsBetter) {
  const auto error = [](const CostProfile& profile, const std::vector<CostSample>& samples) {
    double sum = 0;
    for (const CostSample& sample : samples) sum += std::pow(deviation(profile, sample), 2);
    return sum;
  };
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    CostProfile truth = smollm2();
    truth.prefill_fixed_ms = 0;
    const std::vector<CostSample> samples = measured(truth, 0.1, seed);
    const CostProfile fitted = *fit_cost_profile(samples, {});
    Rng rng(seed);
    for (int i = 0; i < 1000; ++i) {
      CostProfile near = fitted;
      near.prefill_fixed_ms = std::max(0.0, near.prefill_fixed_ms + (rng.uniform() - 0.5));
      near.prefill_ms_per_token *= 1 + 0.02 * (rng.uniform() - 0.5);
      near.prefill_ms_per_token2 *= 1 + 0.02 * (rng.uniform() - 0.5);
      near.step_fixed_ms *= 1 + 0.02 * (rng.uniform() - 0.5);
      EXPECT_GE(error(near, samples), error(fitted, samples) - 1e-12);
    }
  }
}

TEST(CostFit, WhatIsNotMeasuredIsKept) {
  const auto fitted = fit_cost_profile(measured(smollm2(), 0.01, 1), *builtin_profile("laptop"));
  ASSERT_TRUE(fitted.ok());
  EXPECT_EQ(fitted->name, "laptop");
  EXPECT_EQ(fitted->link_bytes_per_ms, builtin_profile("laptop")->link_bytes_per_ms);
  EXPECT_EQ(fitted->kv_bytes_per_token, builtin_profile("laptop")->kv_bytes_per_token);
}

TEST(CostFit, SamplesThatLeaveALawOpenAreRefused) {
  EXPECT_EQ(fit_cost_profile({}, {}).status().code(), Code::kInvalidArgument);
  for (const CostKind kind : {CostKind::kPrefill, CostKind::kLoad, CostKind::kStep}) {
    std::vector<CostSample> samples = measured(smollm2(), 0, 1);
    const auto first = *std::ranges::find(samples, kind, &CostSample::kind);
    for (CostSample& sample : samples) {
      if (sample.kind == kind) sample = first;
    }
    EXPECT_EQ(fit_cost_profile(samples, {}).status().code(), Code::kInvalidArgument);
  }
}

TEST(CostFit, TimesThatAreNoneAreRefused) {
  for (const double ms : {0.0, -1.0, std::nan(""), HUGE_VAL}) {
    std::vector<CostSample> samples = measured(smollm2(), 0, 1);
    samples[3].ms = ms;
    EXPECT_EQ(fit_cost_profile(samples, {}).status().code(), Code::kInvalidArgument) << ms;
  }
}

TEST(CostFit, TimesThatFollowNoLawAreRefused) {
  std::vector<CostSample> samples = measured(smollm2(), 0, 1);
  for (std::size_t i = 0; i < samples.size(); ++i) samples[i].ms *= i % 2 == 0 ? 1 : 20;
  const auto wild = fit_cost_profile(samples, {});
  ASSERT_FALSE(wild.ok());
  EXPECT_EQ(wild.status().code(), Code::kUnsupported);

  samples = measured(smollm2(), 0, 1);
  for (CostSample& sample : samples) {
    if (sample.kind == CostKind::kPrefill) sample.ms = 7;
  }
  const auto flat = fit_cost_profile(samples, {});
  ASSERT_FALSE(flat.ok());
  EXPECT_NE(flat.status().message().find("no longer than short ones"), std::string::npos) << flat.status().message();
}

}  // namespace
}  // namespace mooncake::kvcache
