// Journal: everything that a Conductor is told and what it decides, a line of JSON each, so that its decisions can be
// made again elsewhere, and compared byte for byte:
//
//   {"journal":1,"config":{...},"profile":{...}}                                 the first line
//   {"at":NS,"call":"request","told":{...},"decided":{...}}                      a decision
//   {"at":NS,"call":"before_decode","told":{...},"decided":{...} or null}
//   {"at":NS,"call":"tick","told":{},"decided":[...]}                            if it is elastic
//   {"at":NS,"call":"phase" | "prefill_actual" | "tbt_actual" | "cache" | "stats" | "instance","told":{...}}
//
// `at` are nanoseconds of the recording process's clock; times are nanoseconds, instances, nodes and requests numbers.
// A request takes about 100 bytes for each of its blocks and 200 for each instance that was looked at.
//
// Source: docs/simulator.md, a gateway's decisions, again.
#pragma once

#include <cstdint>
#include <istream>
#include <memory>
#include <optional>
#include <ostream>
#include <string>

#include "base/status.h"
#include "conductor/conductor.h"
#include "kvcache/cost_model.h"

namespace mooncake::conductor {

/// A Conductor as Conductor::create() makes it that writes down every call in `out`; what
/// `out` cannot take is lost and changes no decision. Thread-compatible, like every Conductor.
std::unique_ptr<Conductor> make_journaling(const ConductorConfig& config, const kvcache::CostProfile& profile,
                                           std::shared_ptr<std::ostream> out);

struct ReplayReport {
  std::uint64_t calls = 0;
  std::uint64_t decisions = 0;                ///< of these, that have an answer
  std::uint64_t different = 0;                ///< of these, whose answer is not the recorded one
  std::optional<std::uint64_t> first_line{};  ///< of the different ones, from 1
  std::string first_recorded{};               ///< its answer as recorded
  std::string first_made{};                   ///< and as it was made now
};

/// A journal's line is no longer than this: a prompt of a million tokens before a thousand instances.
inline constexpr std::size_t kJournalLineBytesMax = 16u << 20;

/// Makes the decisions of a journal again with a new Conductor of the recorded configuration and profile.
/// @return kInvalidArgument for what is no journal, with the number of the line and what is wrong with it. A last line
/// that was cut off, as by a recorder that was killed, is left out.
Result<ReplayReport> replay_journal(std::istream& journal);

}  // namespace mooncake::conductor
