// Fairness: who is served when twice as much comes as can be computed: of two tenants, one of which asks for four times
// as much as the other, and of three priorities. A part of the experiment `overload`. Pure.
#pragma once

#include "base/status.h"
#include "sim/experiment/experiment.h"
#include "sim/report/report.h"

namespace mooncake::sim {

/// A row for each tenant and each priority, beside what the same requests get when nobody tells them apart.
Result<Table> fairness_table(const ExperimentInput& input);

}  // namespace mooncake::sim
