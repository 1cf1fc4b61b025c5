#include "sim/report/report.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "base/check.h"

namespace mooncake::sim {
namespace {

using Json = nlohmann::ordered_json;

/// Four significant digits, but no less than the whole part.
std::string text_of(double number) {
  if (number == std::floor(number) && std::abs(number) < 1e15) return fmt::format("{:.0f}", number);
  const double magnitude = std::abs(number);
  const int decimals = magnitude >= 1000 ? 0 : magnitude >= 100 ? 1 : magnitude >= 10 ? 2 : magnitude >= 1 ? 3 : 4;
  return fmt::format("{:.{}f}", number, decimals);
}

std::string text_of(const Cell& cell) {
  if (const auto* number = std::get_if<double>(&cell)) return text_of(*number);
  if (const auto* text = std::get_if<std::string>(&cell)) return *text;
  return "-";
}

Json json_of(const Cell& cell) {
  if (const auto* number = std::get_if<double>(&cell)) return *number;
  if (const auto* text = std::get_if<std::string>(&cell)) return *text;
  return nullptr;
}

std::string text_of(const Table& table) {
  std::vector<std::size_t> widths;
  widths.reserve(table.columns.size());
  for (const std::string& column : table.columns) widths.push_back(column.size());
  for (const auto& row : table.rows) {
    CHECK(row.size() == table.columns.size());
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], text_of(row[i]).size());
  }
  std::string text = fmt::format("\n{}\n", table.title);
  const auto line = [&](const auto& cells, const auto& show) {
    for (std::size_t i = 0; i < cells.size(); ++i) {
      text += i == 0 ? fmt::format("  {:<{}}", show(cells[i]), widths[i])
                     : fmt::format("  {:>{}}", show(cells[i]), widths[i]);
    }
    text += "\n";
  };
  line(table.columns, [](const std::string& column) { return column; });
  for (const auto& row : table.rows) line(row, [](const Cell& cell) { return text_of(cell); });
  return text;
}

Json json_of(const Table& table) {
  Json rows = Json::array();
  for (const auto& row : table.rows) {
    Json object = Json::object();
    for (std::size_t i = 0; i < row.size(); ++i) object[table.columns[i]] = json_of(row[i]);
    CHECK(object.size() == table.columns.size());
    rows.push_back(std::move(object));
  }
  return {{"title", table.title}, {"columns", table.columns}, {"rows", std::move(rows)}};
}

Json json_of(const Chart& chart) {
  Json all = Json::array();
  for (const Series& series : chart.series) {
    CHECK(series.y.size() == chart.x.size());
    Json y = Json::array();
    for (const auto& point : series.y) y.push_back(point ? Json(*point) : Json(nullptr));
    all.push_back({{"name", series.name}, {"published", series.published}, {"y", std::move(y)}});
  }
  Json json = {{"title", chart.title}, {"x_name", chart.x_name}, {"y_name", chart.y_name},
               {"log_x", chart.log_x}, {"x", chart.x},           {"series", std::move(all)}};
  for (const Mark& mark : chart.marks) json["marks"].push_back({{"name", mark.name}, {"x", mark.x}});
  return json;
}

/// Bars by column: thousands of them would repeat four names each.
Json json_of(const Gantt& gantt) {
  CHECK(!gantt.bars.empty());
  Json bars = {{"row", Json::array()}, {"kind", Json::array()}, {"begin", Json::array()}, {"end", Json::array()}};
  for (const Gantt::Bar& bar : gantt.bars) {
    CHECK(bar.row < gantt.rows.size() && bar.kind < gantt.kinds.size() && bar.begin <= bar.end);
    bars["row"].push_back(bar.row);
    bars["kind"].push_back(bar.kind);
    bars["begin"].push_back(bar.begin);
    bars["end"].push_back(bar.end);
  }
  return {{"title", gantt.title}, {"note", gantt.note},   {"x_name", gantt.x_name},
          {"rows", gantt.rows},   {"kinds", gantt.kinds}, {"bars", std::move(bars)}};
}

}  // namespace

std::string report_text(const Report& report) {
  std::string text = report.title + "\n";
  for (const auto& [what, value] : report.setting) text += fmt::format("  {}: {}\n", what, value);
  for (const Table& table : report.tables) text += text_of(table);
  for (const std::string& note : report.notes) text += "\n" + note + "\n";
  return text;
}

std::string report_json(const Report& report) {
  Json json = {{"experiment", report.name}, {"title", report.title}};
  json["setting"] = Json::object();
  for (const auto& [what, value] : report.setting) json["setting"][what] = value;
  json["notes"] = report.notes;
  json["tables"] = Json::array();
  for (const Table& table : report.tables) json["tables"].push_back(json_of(table));
  json["charts"] = Json::array();
  for (const Chart& chart : report.charts) json["charts"].push_back(json_of(chart));
  for (const Gantt& gantt : report.gantts) json["gantts"].push_back(json_of(gantt));
  return json.dump(2) + "\n";
}

}  // namespace mooncake::sim
