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
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(28rem, 100%), 1fr)); gap: 1rem 2rem; }
.charts section { min-width: 0; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: .875rem; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .75rem; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap; }
th { font-weight: 600; background: var(--band); }
th:first-child, td:first-child { text-align: left; }
tbody tr:hover { background: var(--band); }
.kinds span { display: inline-block; width: .8rem; height: .8rem; margin: 0 .4rem 0 1.2rem; }
.kinds span:first-child { margin-left: 0; }
.said { min-height: 1.5em; margin: 0; color: var(--soft); font-size: .875rem; }
.u-legend { font-size: .8rem; text-align: left; }
@media (max-width: 32rem) { body { padding: 1rem; } }
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

const width = place => Math.max(280, place.clientWidth);
const axis = label => ({label, font: "12px system-ui", labelFont: "13px system-ui", stroke: "#5b6675",
                        grid: {stroke: "#e8ecf1"}, values: (_, ticks) => ticks.map(short)});
// Which ticks of a logarithmic axis have a number: 1, 2 and 5, or 1 alone where a decade has no room for more.
const decimal = (plot, ticks) => {
  const leading = plot.width > 130 * Math.log10(ticks.at(-1) / ticks[0]) + 100 ? "125" : "1";
  return ticks.map(tick => leading.includes(tick.toExponential()[0]) ? tick : null);
};
// Draws within the axes of a plot.
const clipped = (plot, draw) => {
  const {ctx: context, bbox: box} = plot;
  context.save();
  context.beginPath();
  context.rect(box.left, box.top, box.width, box.height);
  context.clip();
  draw(context, box);
  context.restore();
};
const draw_mark = (plot, mark) => clipped(plot, (context, box) => {
  const x = Math.floor(plot.valToPos(mark.x, "x", true)) + .5;
  context.setLineDash([6, 4].map(length => length * devicePixelRatio));
  context.strokeStyle = context.fillStyle = "#000";
  context.lineWidth = devicePixelRatio;
  context.beginPath();
  context.moveTo(x, box.top);
  context.lineTo(x, box.top + box.height);
  context.stroke();
  context.font = `${12 * devicePixelRatio}px system-ui`;
  const room = box.left + box.width - x > 1.2 * context.measureText(mark.name).width;
  context.textAlign = room ? "left" : "right";
  context.fillText(mark.name, x + (room ? 5 : -5) * devicePixelRatio,
                   box.top + box.height - 8 * devicePixelRatio);
});

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
  const marks = chart.marks ?? [];
  const lines = chart.series.map((line, i) => ({
    label: line.name, stroke: line.published ? "#000" : colours[i % colours.length], width: 2,
    dash: line.published ? [6, 4] : undefined, spanGaps: true,
    points: {show: line.y.filter(y => y !== null).length <= 50, size: 6},
    value: (_, value) => show(value)}));
  const x_range = (_, low, high) => {
    const [from, to] = marks.reduce(([a, b], mark) => [Math.min(a, mark.x), Math.max(b, mark.x)], [low, high]);
    return chart.log_x ? uPlot.rangeLog(from, to, 10, false) : [from, to + (to - from) * .02];
  };
  const plot = new uPlot({
    width: width(place), height: 320, cursor: {drag: {x: false, y: false}},
    scales: {x: {time: false, distr: chart.log_x ? 3 : 1, ...(marks.length ? {range: x_range} : {})},
             y: {range: (_, low, high) => [Math.min(0, low), high * 1.05 || 1]}},
    hooks: {draw: [plot => marks.forEach(mark => draw_mark(plot, mark))]},
    series: [{label: chart.x_name, value: (_, value) => show(value)}, ...lines],
    axes: [{...axis(chart.x_name), ...(chart.log_x ? {filter: decimal} : {})}, {...axis(chart.y_name), size: 60}],
  }, [chart.x, ...chart.series.map(line => line.y)], place);
  addEventListener("resize", () => plot.setSize({width: width(place), height: 320}));
}

for (const gantt of report.gantts ?? []) {
  const {row, kind, begin, end} = gantt.bars;
  add(main, "h2", gantt.title);
  add(main, "p", gantt.note);
  const legend = add(main, "p");
  legend.className = "kinds";
  gantt.kinds.forEach((name, i) => {
    add(legend, "span").style.background = colours[i];
    legend.append(name);
  });
  const place = add(main, "div");
  place.className = "gantt";
  const said = add(main, "p");
  said.className = "said";
  const height = 18 * gantt.rows.length + 110;
  const draw = plot => clipped(plot, context => {
    const thick = .75 * Math.abs(plot.valToPos(1, "y", true) - plot.valToPos(0, "y", true));
    for (let i = 0; i < row.length; i++) {
      const left = plot.valToPos(begin[i], "x", true), right = plot.valToPos(end[i], "x", true);
      context.fillStyle = colours[kind[i]];
      // A pixel between neighbours tells them apart, where they have some.
      const wide = right - left > 4 ? right - left - 1 : Math.max(1, right - left);
      context.fillRect(left, plot.valToPos(row[i], "y", true) - thick / 2, wide, thick);
    }
  });
  const say = plot => {
    const {left, top} = plot.cursor;
    const at = plot.posToVal(left, "x"), line = Math.round(plot.posToVal(top, "y"));
    const i = left < 0 ? -1 : row.findIndex((r, k) => r === line && begin[k] <= at && at < end[k]);
    const when = `${show(begin[i])} to ${show(end[i])}`;
    said.textContent = i < 0 ? "" : `${gantt.rows[line]}: ${when}, ${gantt.kinds[kind[i]]}`;
  };
  const plot = new uPlot({
    width: width(place), height, legend: {show: false}, cursor: {y: false, points: {show: false}},
    scales: {x: {time: false}, y: {dir: -1, range: [-.5, gantt.rows.length - .5]}},
    series: [{}, {}],
    axes: [axis(gantt.x_name), {...axis(), size: 80, grid: {show: false}, ticks: {show: false},
                                splits: () => gantt.rows.map((_, i) => i), values: () => gantt.rows}],
    hooks: {draw: [draw], setCursor: [say]},
  }, [[Math.min(...begin), Math.max(...end)], [null, null]], place);
  addEventListener("resize", () => plot.setSize({width: width(place), height}));
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
