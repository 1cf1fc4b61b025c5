// Report: what an experiment found, as tables and charts, in one form for the terminal, for programs and for a browser.
// Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace mooncake::sim {

/// A number, a text, or nothing.
using Cell = std::variant<std::monostate, double, std::string>;

struct Table {
  std::string title;
  std::vector<std::string> columns;
  std::vector<std::vector<Cell>> rows{};  ///< each as long as `columns`
};

/// One line of a chart.
struct Series {
  std::string name;
  std::vector<std::optional<double>> y{};  ///< as long as the chart's x; nothing: no point
  bool published = false;                  ///< a figure of somebody else's, drawn dashed
};

/// A value of x that a line is drawn at.
struct Mark {
  std::string name;
  double x = 0;
};

struct Chart {
  std::string title;
  std::string x_name;
  std::string y_name;
  std::vector<double> x{};  ///< ascending
  std::vector<Series> series{};
  bool log_x = false;         ///< every x is above 0
  std::vector<Mark> marks{};  ///< the axis reaches to them
};

/// Who was busy when: a row an instance, a bar a piece of work.
struct Gantt {
  struct Bar {
    std::uint32_t row = 0;   ///< in `rows`
    std::uint32_t kind = 0;  ///< in `kinds`
    double begin = 0;
    double end = 0;  ///< not before `begin`
  };
  std::string title;
  std::string note;  ///< which part of the whole this is
  std::string x_name;
  std::vector<std::string> rows{};   ///< from the top
  std::vector<std::string> kinds{};  ///< each has a colour
  std::vector<Bar> bars{};           ///< at least one
};

struct Report {
  std::string name;                                            ///< of the experiment
  std::string title;                                           ///< one line
  std::vector<std::pair<std::string, std::string>> setting{};  ///< what it ran on: trace, profile, commit
  std::vector<std::string> notes{};                            ///< how to read it; a paragraph each
  std::vector<Table> tables{};
  std::vector<Chart> charts{};
  std::vector<Gantt> gantts{};
};

/// Title, notes and tables, in columns.
std::string report_text(const Report& report);

/// {"experiment", "title", "setting": {}, "notes": [], "tables": [{"title", "columns", "rows": [{column: cell}]}],
///  "charts": [{"title", "x_name", "y_name", "log_x", "x": [], "series": [{"name", "published", "y": []}]}]}, indented,
/// with a newline at the end. Where there are any, also "marks": [{"name", "x"}] of a chart and, of the report,
/// "gantts":
/// [{"title", "note", "x_name", "rows": [], "kinds": [], "bars": {"row": [], "kind": [], "begin": [], "end": []}}].
/// Equal column names in one table are a bug.
std::string report_json(const Report& report);

}  // namespace mooncake::sim
