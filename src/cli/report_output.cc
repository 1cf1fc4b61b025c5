#include "cli/report_output.h"

#include <fmt/core.h>
#include <unistd.h>

#include <fstream>
#include <sstream>

#include "cli/json_output.h"
#include "sim/report/html.h"

namespace mooncake::cli {
namespace {

/// Put there by tools/charts, which names it in the same way.
constexpr std::string_view kChartsDirectory = "charts/uplot-1.6.32";
Result<std::string> read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  if (!file) {
    return Status(Code::kNotFound, fmt::format("{} is missing, which draws the charts: `tools/charts` in a checkout of "
                                               "Mooncake gets it",
                                               path));
  }
  return text.str();
}

Status write_page(const sim::Report& report, const std::string& path, const Environment& environment) {
  const std::string charts = fmt::format("{}/{}", cache_dir(environment), kChartsDirectory);
  MC_ASSIGN_OR_RETURN(const std::string script, read_file(charts + "/uPlot.iife.min.js"));
  MC_ASSIGN_OR_RETURN(const std::string style, read_file(charts + "/uPlot.min.css"));
  return write_json(path, sim::report_html(report, {.script = script, .style = style}));
}

}  // namespace

Status publish_report(const sim::Report& report, const std::string& json, const std::string& page,
                      const Environment& environment) {
  if (json != kJsonToStdout) fmt::print("{}", sim::report_text(report));
  MC_RETURN_IF_ERROR(write_json(json, sim::report_json(report)));
  return publish_page(report, json, page, environment);
}

Status publish_page(const sim::Report& report, const std::string& json, const std::string& page,
                    const Environment& environment) {
  if (page.empty()) return {};
  MC_RETURN_IF_ERROR(write_page(report, page, environment));
  if (json != kJsonToStdout) fmt::print("\n{} shows it with charts.\n", page);
  return {};
}

void show_progress(const std::string& what) {
  if (::isatty(STDERR_FILENO) != 0) fmt::print(stderr, "\r\033[K{}", what);
}

}  // namespace mooncake::cli
