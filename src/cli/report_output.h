// Where a simulator's report goes: a table for people, JSON, a page for a browser.
#pragma once

#include <string>

#include "cli/command.h"
#include "sim/report/report.h"

namespace mooncake::cli {

/// Prints the report unless `json` is standard output, and writes JSON and page where they are asked for.
/// @return kNotFound if the library that draws charts is not in the cache; kUnavailable if a file cannot be written.
Status publish_report(const sim::Report& report, const std::string& json, const std::string& page,
                      const Environment& environment);

/// The page alone; says so unless `json` is standard output. Nothing if `page` is empty.
/// @return as publish_report().
Status publish_page(const sim::Report& report, const std::string& json, const std::string& page,
                    const Environment& environment);

/// Overwrites a line on a terminal; silent elsewhere. "" clears it.
void show_progress(const std::string& what);

}  // namespace mooncake::cli
