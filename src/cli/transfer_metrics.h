// The transfer engine's counters as metrics, so that both ends of a path can be compared.
#pragma once

#include "base/metrics.h"
#include "transfer/transfer_engine.h"

namespace mooncake::cli {

/// Shows `engine`'s counters at every scrape, as docs/transfer.md lists them. `engine` must outlive the last scrape.
void export_transfer_stats(const transfer::TransferEngine& engine, Metrics& metrics);

}  // namespace mooncake::cli
