// The browser's form of a Report: one file that needs nothing else, no network included. Pure.
#pragma once

#include <string>
#include <string_view>

#include "sim/report/report.h"

namespace mooncake::sim {

/// uPlot as it is published: the library for a <script>, and its style sheet.
struct ChartLibrary {
  std::string_view script;
  std::string_view style;
};

/// The page: one template for every experiment, fed with report_json().
std::string report_html(const Report& report, const ChartLibrary& charts);

}  // namespace mooncake::sim
