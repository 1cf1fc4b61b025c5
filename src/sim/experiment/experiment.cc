#include "sim/experiment/experiment.h"

#include <array>

namespace mooncake::sim {
namespace {

constexpr std::array kExperiments = {
    Experiment{"request-cost", "what one request takes, and how well the profile fits", run_request_cost},
    Experiment{"cache-capacity", "how large a cache has to be, under which policy", run_cache_capacity},
    Experiment{"placement", "what cache-aware placement is worth", run_placement},
    Experiment{"pd-ratio", "how to divide 16 nodes between prefill and decode", run_pd_ratio},
    Experiment{"capacity", "how many requests the same nodes serve in time, disaggregated and coupled", run_capacity},
    Experiment{"overload", "whom to refuse when more comes than can be served", run_overload},
    Experiment{"long-context", "prompts of 16 k to 128 k tokens, and pipelines of nodes", run_long_context},
    Experiment{"staleness", "what late and lost cache events cost", run_staleness},
    Experiment{"miscalibration", "what a wrong cost model costs", run_miscalibration},
};

}  // namespace

std::span<const Experiment> experiments() { return kExperiments; }

Result<Experiment> experiment(std::string_view name) {
  std::string names;
  for (const Experiment& known : kExperiments) {
    if (known.name == name) return known;
    names.append(names.empty() ? "" : ", ").append(known.name);
  }
  return Status(Code::kInvalidArgument, "no experiment \"" + std::string(name) + "\"; there are " + names);
}

}  // namespace mooncake::sim
