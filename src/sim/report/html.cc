#include "sim/report/html.h"

namespace mooncake::sim {
namespace {

constexpr std::string_view kHead = R"html(<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Mooncake simulator</title>
<style>
)html";

constexpr std::string_view kStyle = R"html(
:root { color-scheme: light; --ink: #1c2430; --soft: #5b6675; --line: #dfe4ea; --band: #f5f7fa; }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 70rem; padding: 2rem 1.5rem 4rem; color: var(--ink); background: #fff;
       font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.7rem; margin: 0 0 .5rem; }
h2 { font-size: 1.1rem; margin: 2.5rem 0 .75rem; }
p { max-width: 46rem; }
dl { display: flex; flex-wrap: wrap; gap: .25rem 2rem; margin: 0; color: var(--soft); font-size: .9rem; }
dl div { display: flex; gap: .5rem; }
dd { margin: 0; color: var(--ink); }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(28rem, 1fr)); gap: 1rem 2rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: .875rem; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .75rem; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap; }
th { font-weight: 600; background: var(--band); }
th:first-child, td:first-child { text-align: left; }
tbody tr:hover { background: var(--band); }
.u-legend { font-size: .8rem; text-align: left; }
@media (max-width: 32rem) { .charts { grid-template-columns: 1fr; } body { padding: 1rem; } }
)html";

constexpr std::string_view kBody = R"html(</style>
</head>
<body>
<main id="report"></main>
<script>
)html";

constexpr std::string_view kData = R"html(</script>
<script type="application/json" id="data">
)html";

// Text goes in as text nodes, never as markup.
constexpr std::string_view kTail = R"html(</script>
<script>
const report = JSON.parse(document.getElementById("data").textContent);
const main = document.getElementById("report");
const add = (parent, tag, text) => {
  const node = parent.appendChild(document.createElement(tag));
  if (text !== undefined) node.textContent = text;
  return node;
};
const digits = value => {
  const size = Math.abs(value);
  if (Number.isInteger(value)) return 0;
  return size >= 1000 ? 0 : size >= 100 ? 1 : size >= 10 ? 2 : size >= 1 ? 3 : 4;
};
const show = value => value === null || value === undefined ? "–"
    : typeof value === "number" ? value.toLocaleString("en", {maximumFractionDigits: digits(value),
                                                              minimumFractionDigits: digits(value)})
    : value;
const short = value => value === null ? "" : Math.abs(value) >= 1e4 ? value.toExponential(0).replace("e+", "e")
    : String(+value.toPrecision(4));
// Okabe and Ito's colours, which most people can tell apart.
const colours = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8a6d3b", "#444444", "#7a3db8"];

document.title = report.title;
add(main, "h1", report.title);
const setting = add(main, "dl");
for (const [what, value] of Object.entries(report.setting)) {
  const pair = add(setting, "div");
  add(pair, "dt", what);
  add(pair, "dd", value);
}
for (const note of report.notes) add(main, "p", note);

const grid = add(main, "div");
grid.className = "charts";
for (const chart of report.charts) {
  const box = add(grid, "section");
  add(box, "h2", chart.title);
  const place = add(box, "div");
  const lines = chart.series.map((line, i) => ({
    label: line.name, stroke: line.published ? "#000" : colours[i % colours.length], width: 2,
    dash: line.published ? [6, 4] : undefined, points: {show: true, size: 6}, spanGaps: true,
    value: (_, value) => show(value)}));
  const axis = label => ({label, font: "12px system-ui", labelFont: "13px system-ui", stroke: "#5b6675",
                          grid: {stroke: "#e8ecf1"}, values: (_, ticks) => ticks.map(short)});
  const width = () => Math.max(280, place.clientWidth);
  const plot = new uPlot({
    width: width(), height: 320, cursor: {drag: {x: false, y: false}},
    scales: {x: {time: false, distr: chart.log_x ? 3 : 1},
             y: {range: (_, low, high) => [Math.min(0, low), high * 1.05 || 1]}},
    series: [{label: chart.x_name, value: (_, value) => show(value)}, ...lines],
    axes: [axis(chart.x_name), {...axis(chart.y_name), size: 60}],
  }, [chart.x, ...chart.series.map(line => line.y)], place);
  addEventListener("resize", () => plot.setSize({width: width(), height: 320}));
}

for (const table of report.tables) {
  add(main, "h2", table.title);
  const scroll = add(main, "div");
  scroll.className = "scroll";
  const node = add(scroll, "table");
  const head = add(add(node, "thead"), "tr");
  for (const column of table.columns) add(head, "th", column);
  const body = add(node, "tbody");
  for (const row of table.rows) {
    const line = add(body, "tr");
    for (const column of table.columns) add(line, "td", show(row[column]));
  }
}
</script>
</body>
</html>
)html";

/// JSON that cannot end the <script> it stands in: "<" is written as an escape, which JSON reads as the same.
std::string script_safe(const std::string& json) {
  std::string safe;
  safe.reserve(json.size());
  for (const char c : json) {
    if (c == '<') {
      safe += "\\u003c";
    } else {
      safe += c;
    }
  }
  return safe;
}

}  // namespace

std::string report_html(const Report& report, const ChartLibrary& charts) {
  std::string page;
  for (const std::string_view part : {kHead, charts.style, kStyle, kBody, charts.script, kData}) page += part;
  page += script_safe(report_json(report));
  page += kTail;
  return page;
}

}  // namespace mooncake::sim
