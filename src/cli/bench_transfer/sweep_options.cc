#include "cli/bench_transfer/sweep_options.h"

#include <fmt/core.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>

#include "transfer/transfer_engine.h"

namespace mooncake::cli {
namespace {

/// Larger blocks are cut into slices of 1 to 2 MiB anyway.
constexpr std::uint64_t kBlockBytesMax = 1ull << 30;
/// More threads than any machine's cores measure its scheduler.
constexpr std::uint64_t kThreadsMax = 64;

Result<std::vector<std::string_view>> split(std::string_view flag, std::string_view text) {
  std::vector<std::string_view> words;
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t end = std::min(text.find(',', at), text.size());
    words.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  if (words.size() <= kSweepListMax) return words;
  return Status(Code::kInvalidArgument,
                fmt::format("{}: {} values, at most {} are allowed", flag, words.size(), kSweepListMax));
}

}  // namespace

Result<std::vector<std::uint64_t>> parse_counts(std::string_view flag, std::string_view text, std::uint64_t max) {
  MC_ASSIGN_OR_RETURN(const auto words, split(flag, text));
  std::vector<std::uint64_t> counts;
  for (const std::string_view word : words) {
    std::uint64_t count = 0;
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), count);
    if (error != std::errc() || end != word.data() + word.size() || count < 1 || count > max) {
      return Status(Code::kInvalidArgument, fmt::format("{}: expected numbers from 1 to {} with commas in between, got "
                                                        "\"{}\"",
                                                        flag, max, text.substr(0, 100)));
    }
    counts.push_back(count);
  }
  return counts;
}

Result<std::vector<std::string>> parse_names(std::string_view flag, std::string_view text,
                                             const std::vector<std::string_view>& known) {
  MC_ASSIGN_OR_RETURN(const auto words, split(flag, text));
  std::vector<std::string> names;
  for (const std::string_view word : words) {
    if (std::ranges::find(known, word) == known.end()) {
      return Status(Code::kInvalidArgument, fmt::format("{}: expected some of {} with commas in between, got \"{}\"",
                                                        flag, fmt::join(known, ", "), text.substr(0, 100)));
    }
    names.emplace_back(word);
  }
  return names;
}

Result<SweepPlan> sweep_plan(const Config& config, std::string_view section,
                             const std::vector<std::string_view>& transports) {
  const auto key = [&](std::string_view name) { return fmt::format("{}.{}", section, name); };
  const auto counts = [&](std::string_view name, std::string_view flag, std::uint64_t max) {
    return parse_counts(flag, config.text(key(name)), max);
  };
  SweepPlan plan;
  MC_ASSIGN_OR_RETURN(plan.transports, parse_names("--transports", config.text(key("transports")), transports));
  MC_ASSIGN_OR_RETURN(plan.block_bytes, counts("block_bytes", "--block-bytes", kBlockBytesMax));
  MC_ASSIGN_OR_RETURN(plan.batches, counts("batch", "--batch", transfer::kBatchRequestsMax));
  MC_ASSIGN_OR_RETURN(plan.threads, counts("threads", "--threads", kThreadsMax));
  plan.cell = from_ms(config.number(key("seconds")) * 1e3);
  if (plan.bytes_max() > kSweepBytesMax) {
    return Status(Code::kInvalidArgument, fmt::format("block size x batch x threads is up to {} bytes, at most {} are "
                                                      "allowed",
                                                      plan.bytes_max(), kSweepBytesMax));
  }
  return plan;
}

std::map<std::string, std::string> sweep_settings(const Config& config, std::string_view section) {
  std::map<std::string, std::string> settings;
  for (const std::string_view name : {"transports", "block_bytes", "batch", "threads", "seconds"}) {
    settings.emplace(name, config.at(fmt::format("{}.{}", section, name)).to_string());
  }
  // Whoever reads the figures later should see whether the machine was somebody else's meanwhile.
  double load = 0;
  if (::getloadavg(&load, 1) == 1) settings.emplace("load_before", fmt::format("{:.2f}", load));
  return settings;
}

Status check_room(const SegmentDescription& segment, const SweepPlan& plan) {
  if (plan.bytes_max() <= segment.bytes) return {};
  return {Code::kOutOfRange,
          fmt::format("the peer's segment has {} bytes, and block size x batch x threads is up to {}: start it with "
                      "`transfer serve --bytes {}`, or sweep less",
                      segment.bytes, plan.bytes_max(), plan.bytes_max())};
}

}  // namespace mooncake::cli
