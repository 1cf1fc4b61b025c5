// The JSON of a journal's lines. Reading throws nlohmann::json::exception for members that are missing or of the wrong
// kind, and OutOfRange for values that no Conductor can take: journal.cc catches both. Not for other layers.
#pragma once

#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>

#include "conductor/conductor.h"

namespace mooncake::conductor::journal {

using Json = nlohmann::ordered_json;

/// A value that a Conductor would not survive.
class OutOfRange : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

Json to_json(const ConductorConfig& config);
Json to_json(const RequestView& request);
Json to_json(const Decision& decision);
Json to_json(const std::optional<Refusal>& refusal);
Json to_json(std::span<const Action> actions);
Json to_json(const CacheEvent& event);
Json to_json(const InstanceStats& stats);
Json to_json(const InstanceChange& change);

ConductorConfig config_from(const Json& json);
/// The request's keys go to `keys`, which it refers to.
RequestView request_from(const Json& json, std::vector<Key128>& keys);
CacheEvent cache_event_from(const Json& json);
InstanceStats stats_from(const Json& json);
InstanceChange instance_from(const Json& json);
Phase phase_from(const Json& json);

}  // namespace mooncake::conductor::journal
