// The prefix index and what it is compared with, under the same work. Rates are per second that this thread computes,
// so that what else runs on the machine does not count; percentiles are by the wall clock. Memory is how much more of
// the process is resident once an index is filled.
#include <fmt/core.h>
#include <malloc.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <ctime>
#include <fstream>
#include <optional>
#include <span>

#include "base/rng.h"
#include "cli/bench_chains.h"
#include "cli/bench_conductor.h"
#include "cli/bench_index_rivals.h"
#include "cli/bench_stats.h"
#include "kvcache/prefix_index.h"

namespace mooncake::cli {
namespace {

constexpr std::uint32_t kNodes = 64;
// Prompts of one round of lookups: their keys (200 kB) stay in the core's cache, where whoever hashed them left them,
// while the slots they lead to are those of random prompts among all.
constexpr std::size_t kRoundLookups = 512;

constexpr double kLookupsPerSecondTarget = 1e6;
constexpr double kLookupMicrosTarget = 5;
constexpr double kAddsPerSecondTarget = 1e7;
constexpr double kBytesPerBlockTarget = 40;

struct Figures {
  double adds_per_s = 0;
  double lookups_per_s = 0;
  double lookup_us_p50 = 0;
  double lookup_us_p99 = 0;
  std::optional<double> bytes;
  std::uint64_t answers = 0;  // sum over all lookups, which must not depend on the index
};

double cpu_seconds() {
  timespec time{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

// Nothing if the system does not say.
std::optional<double> resident_bytes() {
  (void)::malloc_trim(0);  // what an earlier index left to malloc would hide what the next one takes
  std::ifstream file("/proc/self/statm");
  double total = 0;
  double resident = 0;
  if (!(file >> total >> resident)) return std::nullopt;
  return resident * static_cast<double>(::sysconf(_SC_PAGESIZE));
}

std::uint64_t weighed(const kvcache::PrefixMatch& match) {
  std::uint64_t sum = match.blocks_any;
  for (std::uint64_t node = 0; node < match.blocks_by_node.size(); ++node)
    sum += (node + 2) * match.blocks_by_node[node];
  return sum;
}

// Keys of random prompts, copied so that reading them costs nothing.
class Round {
 public:
  Round(const BenchChains& chains, Rng& rng, std::size_t lookups) {
    for (std::size_t i = 0; i < lookups; ++i) {
      const auto chain = chains.chain(rng.below(chains.size()));
      keys_.insert(keys_.end(), chain.begin(), chain.end());
    }
  }
  template <typename Visit>
  void for_each(Visit visit) const {
    for (std::size_t at = 0; at < keys_.size(); at += BenchChains::kChainBlocks) {
      visit(std::span(keys_).subspan(at, BenchChains::kChainBlocks));
    }
  }

 private:
  std::vector<Key128> keys_;
};

// Half of the rounds are timed as a whole, for the rate: reading the clock takes a while. The others are timed prompt
// by prompt.
template <typename Index>
void measure_lookups(const Index& index, const BenchChains& chains, const BenchConductorOptions& options,
                     Figures& figures) {
  Rng rng(options.seed + 1);
  std::vector<double> micros;
  double seconds = 0;
  for (std::uint64_t left = options.lookups; left > 0;) {
    const std::size_t lookups = std::min<std::uint64_t>(left, kRoundLookups);
    left -= lookups;
    const Round rate_round(chains, rng, lookups);
    const double start = cpu_seconds();
    rate_round.for_each([&](auto chain) { figures.answers += index.match(chain).blocks_any; });
    seconds += cpu_seconds() - start;
    Round(chains, rng, lookups).for_each([&](auto chain) {
      const auto one_start = std::chrono::steady_clock::now();
      const kvcache::PrefixMatch match = index.match(chain);
      const std::chrono::duration<double, std::micro> took = std::chrono::steady_clock::now() - one_start;
      micros.push_back(took.count());
      figures.answers += weighed(match);
    });
  }
  figures.lookups_per_s = static_cast<double>(options.lookups) / seconds;
  figures.lookup_us_p50 = percentile(micros, 50);
  figures.lookup_us_p99 = percentile(micros, 99);
}

template <typename Index>
Figures measure(Index& index, const BenchChains& chains, const BenchConductorOptions& options) {
  Figures figures;
  const auto bytes_before = resident_bytes();
  const double start = cpu_seconds();
  const std::uint64_t adds = chains.for_each_stored([&](auto node, auto keys) { index.add(node, keys); });
  figures.adds_per_s = static_cast<double>(adds) / (cpu_seconds() - start);
  const auto bytes_after = resident_bytes();
  if (bytes_before && bytes_after) figures.bytes = *bytes_after - *bytes_before;
  measure_lookups(index, chains, options, figures);
  return figures;
}

// The rows of one index. `baseline` is null for the baseline itself.
std::vector<BenchRow> rows_of(const std::string& prefix, const Figures& figures, const Figures* baseline,
                              double blocks) {
  const auto per_block = [&](const Figures& of) { return of.bytes ? std::optional(*of.bytes / blocks) : std::nullopt; };
  std::vector<BenchRow> rows = {
      {.name = "lookups_per_s", .value = figures.lookups_per_s, .unit = "1/s", .better = Better::kHigher},
      {.name = "lookup_us_p50", .value = figures.lookup_us_p50, .unit = "us"},
      {.name = "lookup_us_p99", .value = figures.lookup_us_p99, .unit = "us"},
      {.name = "adds_per_s", .value = figures.adds_per_s, .unit = "1/s", .better = Better::kHigher},
      {.name = "bytes_per_block", .value = per_block(figures), .unit = "B"}};
  if (!figures.bytes) rows.back().reason = "/proc/self/statm cannot be read";
  for (BenchRow& row : rows) row.name = prefix + row.name;
  if (baseline == nullptr) return rows;
  const std::vector<BenchRow> base = rows_of("", *baseline, nullptr, blocks);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    rows[i].baseline = "hash map of sets";
    rows[i].baseline_value = base[i].value;
  }
  return rows;
}

void set_targets(std::vector<BenchRow>& index_rows) {
  index_rows[0].target = kLookupsPerSecondTarget;
  index_rows[2].target = kLookupMicrosTarget;
  index_rows[3].target = kAddsPerSecondTarget;
  index_rows[4].target = kBytesPerBlockTarget;
}

// In a scope of its own, so that the next has the memory.
template <typename Index>
Figures measure_fresh(const BenchChains& chains, const BenchConductorOptions& options) {
  Index index;
  return measure(index, chains, options);
}

}  // namespace

Result<std::vector<BenchRow>> bench_prefix_index(const BenchConductorOptions& options) {
  const BenchChains chains(options.blocks, kNodes, options.seed);
  kvcache::PrefixIndex index;
  const Figures ours = measure(index, chains, options);
  const auto blocks = static_cast<double>(index.key_count());
  const Figures map = measure_fresh<HashMapIndex>(chains, options);
  const Figures tree = measure_fresh<RadixTreeIndex>(chains, options);
  if (ours.answers != map.answers || ours.answers != tree.answers) {
    return Status(Code::kInternal, fmt::format("the indexes disagree: {}, hash map {}, radix tree {}", ours.answers,
                                               map.answers, tree.answers));
  }
  std::vector<BenchRow> rows = {{.name = "blocks", .value = blocks, .unit = "blocks", .better = Better::kHigher}};
  std::vector<BenchRow> own = rows_of("", ours, &map, blocks);
  set_targets(own);
  for (const auto& part : {own, rows_of("comparison_hash_map_", map, nullptr, blocks),
                           rows_of("comparison_radix_tree_", tree, &map, blocks)}) {
    rows.insert(rows.end(), part.begin(), part.end());
  }
  return rows;
}

}  // namespace mooncake::cli
