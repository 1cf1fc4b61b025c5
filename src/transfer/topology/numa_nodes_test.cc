#include "transfer/topology/numa_nodes.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <array>

namespace mooncake::transfer {
namespace {

constexpr std::size_t kMiB = 1u << 20;

/// Memory by its address alone.
ConstByteSpan at(std::uintptr_t address, std::size_t bytes = kMiB) {
  return {reinterpret_cast<const std::byte*>(address), bytes};
}

/// A machine whose pages are on the node that `node_of` says.
class FakeKernel {
 public:
  explicit FakeKernel(std::function<int(std::uintptr_t)> node_of) : node_of_(std::move(node_of)) {}
  NumaNodes::Ask ask() {
    return [this](std::span<void*> pages, std::span<int> nodes) {
      ++asked;
      for (std::size_t i = 0; i < pages.size(); ++i) nodes[i] = node_of_(reinterpret_cast<std::uintptr_t>(pages[i]));
      return !forbidden;
    };
  }

  int asked = 0;
  bool forbidden = false;

 private:
  std::function<int(std::uintptr_t)> node_of_;
};

constexpr std::uintptr_t kArea = 64 * kNodeAreaBytes;

TEST(NumaNodes, MemoryIsWhereAllOfItsPagesAre) {
  FakeKernel kernel([](std::uintptr_t page) { return page < kArea + kNodeAreaBytes ? 1 : 0; });
  NumaNodes nodes(kernel.ask(), std::nullopt);
  EXPECT_EQ(nodes.of(at(kArea), Instant{}), 1);
  EXPECT_EQ(nodes.of(at(kArea + kNodeAreaBytes, 17), Instant{}), 0);
}

TEST(NumaNodes, MemoryOfSeveralNodesOrThatWasNotTouchedPrefersNone) {
  FakeKernel kernel([](std::uintptr_t page) { return page < kArea + kMiB ? 0 : page < kArea + 2 * kMiB ? 1 : -2; });
  NumaNodes nodes(kernel.ask(), std::nullopt);
  EXPECT_EQ(nodes.of(at(kArea, 2 * kMiB), Instant{}), std::nullopt);
  EXPECT_EQ(nodes.of(at(kArea + 2 * kMiB), Instant{} + kNodeKnown), std::nullopt);
  EXPECT_EQ(kernel.asked, 2);
}

TEST(NumaNodes, TheKernelIsAskedOnceASecondForAnArea) {
  FakeKernel kernel([](std::uintptr_t) { return 1; });
  NumaNodes nodes(kernel.ask(), std::nullopt);
  for (std::size_t i = 0; i < 32; ++i) EXPECT_EQ(nodes.of(at(kArea + i * kMiB), Instant{}), 1);
  EXPECT_EQ(kernel.asked, 1);
  EXPECT_EQ(nodes.of(at(kArea), Instant{} + kNodeKnown - Nanos(1)), 1);
  EXPECT_EQ(kernel.asked, 1);
  EXPECT_EQ(nodes.of(at(kArea), Instant{} + kNodeKnown), 1);
  EXPECT_EQ(kernel.asked, 2);
}

TEST(NumaNodes, AKernelThatRefusesIsAskedOnce) {
  FakeKernel kernel([](std::uintptr_t) { return 1; });
  kernel.forbidden = true;
  NumaNodes nodes(kernel.ask(), std::nullopt);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(nodes.of(at(kArea + i * kNodeAreaBytes), Instant{}), std::nullopt);
  EXPECT_EQ(kernel.asked, 1);
}

TEST(NumaNodes, AMachineWithOneNodeNeedsNoAsking) {
  FakeKernel kernel([](std::uintptr_t) { return 1; });
  NumaNodes nodes(kernel.ask(), 0);
  EXPECT_EQ(nodes.of(at(kArea), Instant{}), 0);
  EXPECT_EQ(kernel.asked, 0);
}

TEST(NumaNodes, RemembersABoundedNumberOfAreas) {
  FakeKernel kernel([](std::uintptr_t) { return 1; });
  NumaNodes nodes(kernel.ask(), std::nullopt);
  for (std::uintptr_t i = 0; i <= kNodeAreasMax; ++i) nodes.of(at((64 + i) * kNodeAreaBytes), Instant{});
  EXPECT_EQ(kernel.asked, kNodeAreasMax + 1);
  nodes.of(at(kArea), Instant{});
  EXPECT_EQ(kernel.asked, kNodeAreasMax + 2) << "the first was forgotten with all others";
}

TEST(NumaNodes, AskingTellsWhereAPageIsAndDoesNotTouchIt) {
  constexpr std::size_t kPageBytes = 4096;
  void* const memory = ::mmap(nullptr, 2 * kPageBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(memory, MAP_FAILED);
  auto* const touched = static_cast<std::byte*>(memory);
  *touched = std::byte{1};
  std::array<void*, 2> pages = {touched, touched + kPageBytes};
  for (int round = 0; round < 2; ++round) {
    std::array<int, 2> nodes = {-100, 100};
    if (!NumaNodes::ask_kernel(pages, nodes)) GTEST_SKIP() << "the kernel does not tell this process";
    EXPECT_GE(nodes[0], 0);
    EXPECT_LT(nodes[1], 0);
  }
  ::munmap(memory, 2 * kPageBytes);
}

}  // namespace
}  // namespace mooncake::transfer
