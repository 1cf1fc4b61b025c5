// How far what we find is from what is published. Pure.
#pragma once

#include "sim/report/report.h"

namespace mooncake::sim {

/// Of a table of one published figure a row beside ours in several settings, `ours / published - 1`. Its columns are a
/// name, "published", and ours; cells that are no numbers stay empty, and so do those of rows where 0 is published.
Table deviations(const Table& beside);

}  // namespace mooncake::sim
