// The options that `mooncake bench transfer` and `mooncake transfer bench` share, read from the section of either.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/config.h"
#include "base/status.h"
#include "cli/bench_transfer/sweep.h"
#include "cli/transfer/segment_service.h"

namespace mooncake::cli {

/// Values of one list: a sweep is the product of four.
inline constexpr std::size_t kSweepListMax = 16;
/// What the blocks in flight of one cell may need at each side.
inline constexpr std::uint64_t kSweepBytesMax = 4ull << 30;

/// "65536,1048576" as numbers of 1 to `max`. @return kInvalidArgument with the flag in it.
Result<std::vector<std::uint64_t>> parse_counts(std::string_view flag, std::string_view text, std::uint64_t max);

/// "shm,tcp", each one of `known`. @return kInvalidArgument with the flag in it.
Result<std::vector<std::string>> parse_names(std::string_view flag, std::string_view text,
                                             const std::vector<std::string_view>& known);

/// The plan that the options of `section` make. @return kInvalidArgument, also for more than kSweepBytesMax.
Result<SweepPlan> sweep_plan(const Config& config, std::string_view section,
                             const std::vector<std::string_view>& transports);

/// Those options as they were given, and the load average of the last minute ("load_before"), for the report.
std::map<std::string, std::string> sweep_settings(const Config& config, std::string_view section);

/// That the peer's segment has room for the plan's largest shape. @return kOutOfRange with what to do.
Status check_room(const SegmentDescription& segment, const SweepPlan& plan);

}  // namespace mooncake::cli
