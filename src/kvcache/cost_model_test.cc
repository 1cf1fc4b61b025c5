#include "kvcache/cost_model.h"

#include <gtest/gtest.h>

namespace mooncake::kvcache {
namespace {

std::unique_ptr<CostModel> model_of(const char* profile) { return make_cost_model(*builtin_profile(profile)); }

TEST(CostModel, LaptopPredictsWhatTheSimulatedEngineWaits) {
  const auto model = model_of("laptop");
  EXPECT_NEAR(to_ms(model->prefill(0, 1000, 0)), 20, 1e-6);
  EXPECT_NEAR(to_ms(model->tbt(0, 8, 5000)), 2, 1e-6);
}

TEST(CostModel, SmollmMeetsItsMeasuredPoints) {
  const auto model = model_of("smollm2-cpu");
  EXPECT_NEAR(to_ms(model->prefill(0, 2000, 0)), 7000, 70);
  EXPECT_NEAR(to_ms(model->prefill(0, 2032, 0)) / 2032, 1.85 * to_ms(model->prefill(0, 128, 0)) / 128, 0.1);
  EXPECT_NEAR(to_ms(model->tbt(0, 1, 128)), 16, 1);
  EXPECT_NEAR(to_ms(model->tbt(0, 1, 2000)), 40, 2);
}

// Figure 14 of the paper, read off its plot: seconds, and milliseconds a token for the decode of 128 tokens.
TEST(CostModel, Llama70bMeetsThePapersFigure14) {
  struct Row {
    double k, prefill, transfer, decode_step_ms, prefill_95;
  };
  constexpr Row kFigure[] = {{8, 1.00, .034, 26.5, .135},
                             {16, 2.05, .063, 26.8, .227},
                             {32, 4.48, .126, 27.5, .406},
                             {64, 10.58, .251, 28.6, .882},
                             {128, 27.51, .498, 30.8, 2.329}};
  const auto model = model_of("llama3-70b@8xA800");
  const auto seconds = [](Nanos time) { return to_ms(time) / 1000; };
  for (const Row& row : kFigure) {
    SCOPED_TRACE(row.k);
    const auto tokens = static_cast<std::uint32_t>(row.k * 1024);
    const auto cached = static_cast<std::uint32_t>(tokens * 0.95);
    EXPECT_NEAR(seconds(model->prefill(0, tokens, 0)) / row.prefill, 1, 0.01);
    EXPECT_NEAR(seconds(model->prefill(0, tokens, cached)) / row.prefill_95, 1, 0.07);
    EXPECT_NEAR(to_ms(model->tbt(0, 1, tokens)) / row.decode_step_ms, 1, 0.02);
    EXPECT_NEAR(seconds(model->transfer(tokens, false)) / row.transfer, 1, 0.05);
  }
}

TEST(CostModel, ReuseIsCheaperAndNeverNegative) {
  const auto model = model_of("smollm2-cpu");
  Nanos before = model->prefill(0, 2000, 0);
  for (std::uint32_t prefix = 64; prefix < 2000; prefix += 64) {
    const Nanos now = model->prefill(0, 2000, prefix);
    EXPECT_LT(now, before) << prefix;
    before = now;
  }
  EXPECT_GT(model->prefill(0, 100, 5000), Nanos(0)) << "a prefix beyond the prompt counts as all of it";
}

TEST(CostModel, OnlyForeignBlocksCostATransfer) {
  const auto model = model_of("smollm2-cpu");
  EXPECT_EQ(model->transfer(0, false), Nanos(0));
  EXPECT_EQ(model->transfer(2000, true), Nanos(0));
  EXPECT_NEAR(to_ms(model->transfer(2000, false)), 0.5 + 2000 * 23'040 / 1e6, 1e-3);
}

TEST(CostModel, CorrectsOneInstanceToASteadyError) {
  const auto model = model_of("smollm2-cpu");
  const Nanos actual = Nanos(model->prefill(1, 1000, 0).count() * 3);
  for (int i = 0; i < 30; ++i) model->observe_prefill(1, model->prefill(1, 1000, 0), actual);
  EXPECT_NEAR(to_ms(model->prefill(1, 1000, 0)), to_ms(actual), 0.02 * to_ms(actual));
  EXPECT_EQ(model->prefill(2, 1000, 0), model_of("smollm2-cpu")->prefill(2, 1000, 0));
  EXPECT_EQ(model->tbt(1, 1, 100), model_of("smollm2-cpu")->tbt(1, 1, 100));

  const Nanos step = Nanos(model->tbt(1, 4, 100).count() / 2);
  for (int i = 0; i < 60; ++i) model->observe_step(1, model->tbt(1, 4, 100), step);
  EXPECT_NEAR(to_ms(model->tbt(1, 4, 100)), to_ms(step), 0.02 * to_ms(step));
}

TEST(CostModel, OneOutlierMovesThePredictionALittle) {
  const auto model = model_of("laptop");
  const Nanos before = model->prefill(0, 1000, 0);
  model->observe_prefill(0, before, before * 10'000);
  EXPECT_LE(to_ms(model->prefill(0, 1000, 0)),
            to_ms(before) * (1 + kCorrectionWeight * (kObservationFactorMax - 1)) + 1e-6);
  model->observe_prefill(0, before, Nanos(0));
  model->observe_prefill(0, Nanos(0), before);
  EXPECT_GT(model->prefill(0, 1000, 0), before) << "non-positive times change nothing";
}

TEST(CostModel, CorrectionIsBounded) {
  const auto model = model_of("laptop");
  const Nanos before = model->prefill(0, 1000, 0);
  for (int i = 0; i < 1000; ++i) model->observe_prefill(0, Millis(1), Seconds(100));
  EXPECT_LE(to_ms(model->prefill(0, 1000, 0)), to_ms(before) * kCorrectionFactorMax + 1e-6);
}

TEST(CostModel, UnknownProfileNamesTheChoices) {
  const auto result = builtin_profile("cray-1");
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.status().code(), Code::kNotFound);
  EXPECT_NE(result.status().message().find("\"laptop\", \"smollm2-cpu\""), std::string::npos)
      << result.status().message();
}

}  // namespace
}  // namespace mooncake::kvcache
