// The rows of GPU memory, where there is none, and over the double of the driver (ctest -R cli_cuda) or a GPU. What the
// double makes of them are figures of memmove: here only that there are some counts.
#include "cli/bench_transfer/bench_gpu.h"

#include <gtest/gtest.h>

#include "cli/bench_transfer/rounds.h"

namespace mooncake::cli {
namespace {

constexpr Nanos kCell = Millis(5);

std::vector<Judgement> gpu_rows(const Rounds& rounds) {
  std::vector<Judgement> rows = judge(transfer_targets(), rounds.series(), rounds.missing());
  std::erase_if(rows, [](const Judgement& row) { return !row.target.series.starts_with("cuda_"); });
  return rows;
}

bool has_cuda() { return transfer::load_cuda_driver().ok(); }

TEST(BenchGpu, RowsOfAMachineWithoutAGpuSayWhyTheyAreNotMeasured) {
  if (has_cuda()) GTEST_SKIP() << "there is a GPU here";
  const auto gpu = BenchGpu::open(kRoundBytes);
  ASSERT_EQ(gpu.status().code(), Code::kUnavailable);
  EXPECT_TRUE(gpu.status().message().starts_with("no GPU: cuda: ")) << gpu.status().message();
  Rounds rounds({.why_no_gpu = gpu.status().message()}, kCell);
  ASSERT_TRUE(rounds.run([](std::string_view) {}).ok());
  const std::vector<Judgement> rows = gpu_rows(rounds);
  EXPECT_EQ(rows.size(), 5u);
  for (const Judgement& row : rows) {
    EXPECT_EQ(row.verdict(), "not measured: " + gpu.status().message()) << row.target.series;
    EXPECT_FALSE(row.ours.has_value());
  }
}

TEST(BenchGpu, CudaRowsAreMeasuredBesideTheDriverAlone) {
  if (!has_cuda()) GTEST_SKIP() << "there is no GPU here; ctest -R cli_cuda has simulated ones";
  const auto gpu = BenchGpu::open(kRoundBytes);
  ASSERT_TRUE(gpu.ok()) << gpu.status().to_string();
  const auto cuda = TransferClient::open_gpu((*gpu)->memory());
  const auto inside = TransferClient::open_gpu((*gpu)->memory());
  ASSERT_TRUE(cuda.ok() && inside.ok()) << cuda.status().to_string();
  ASSERT_TRUE((*cuda)->allocate_local(kRoundBytes).ok());
  ASSERT_TRUE((*inside)->use_gpu((*gpu)->other_memory()).ok());
  Rounds rounds({.gpu = gpu->get(), .cuda = cuda->get(), .cuda_inside = inside->get()}, kCell);
  for (int i = 0; i < 2; ++i) {
    const Status status = rounds.run([](std::string_view) {});
    ASSERT_TRUE(status.ok()) << status.to_string();
  }
  const std::vector<Judgement> rows = gpu_rows(rounds);
  EXPECT_EQ(rows.size(), 5u);
  for (const Judgement& row : rows) {
    EXPECT_EQ(row.verdict(), "reported") << row.target.series;
    EXPECT_EQ(row.ratios.size(), row.target.baseline.empty() ? 0u : 2u) << row.target.series;
  }
  EXPECT_EQ((*cuda)->transport(), "cuda");
  EXPECT_EQ((*inside)->transport(), "cuda");
}

}  // namespace
}  // namespace mooncake::cli
