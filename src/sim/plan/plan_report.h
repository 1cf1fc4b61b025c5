// What the planner found, as a Report. Pure.
#pragma once

#include <span>

#include "sim/plan/planner.h"
#include "sim/report/report.h"

namespace mooncake::sim {

Report plan_report(const PlanQuestion& question, std::span<const PlannedCluster> clusters);

}  // namespace mooncake::sim
