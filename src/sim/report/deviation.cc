#include "sim/report/deviation.h"

#include "base/check.h"

namespace mooncake::sim {

Table deviations(const Table& beside) {
  CHECK(beside.columns.size() >= 2 && beside.columns[1] == "published");
  Table table{.title = beside.title + ": ours / published - 1", .columns = {beside.columns.front()}, .rows = {}};
  table.columns.insert(table.columns.end(), beside.columns.begin() + 2, beside.columns.end());
  for (const std::vector<Cell>& row : beside.rows) {
    std::vector<Cell> out = {row.front()};
    const double* const published = std::get_if<double>(&row[1]);
    for (std::size_t column = 2; column < row.size(); ++column) {
      const double* const ours = std::get_if<double>(&row[column]);
      const bool comparable = ours != nullptr && published != nullptr && *published != 0;
      out.push_back(comparable ? Cell(*ours / *published - 1) : Cell());
    }
    table.rows.push_back(std::move(out));
  }
  return table;
}

}  // namespace mooncake::sim
