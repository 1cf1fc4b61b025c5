#include "sim/report/report.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "sim/report/html.h"

namespace mooncake::sim {
namespace {

Report small_report() {
  Report report{.name = "tiny", .title = "A </script> of a title"};
  report.setting = {{"trace", "none"}};
  report.notes = {"Nothing to see."};
  report.tables.push_back(
      {.title = "Numbers", .columns = {"what", "value"}, .rows = {{std::string("pi"), 3.14159}, {2.0, {}}}});
  report.charts.push_back(
      {.title = "Line",
       .x_name = "x",
       .y_name = "y",
       .x = {1, 2},
       .series = {{.name = "ours", .y = {0.5, std::nullopt}}, {.name = "theirs", .y = {1, 2}, .published = true}}});
  return report;
}

TEST(Report, TextHasColumnsThatLineUp) {
  EXPECT_EQ(report_text(small_report()),
            "A </script> of a title\n  trace: none\n\nNumbers\n  what  value\n  pi    3.142\n  2         -\n\nNothing "
            "to see.\n");
}

TEST(Report, JsonHasRowsByColumnAndPointsByChart) {
  const auto json = nlohmann::json::parse(report_json(small_report()));
  EXPECT_EQ(json["experiment"], "tiny");
  EXPECT_EQ(json["tables"][0]["rows"][0]["value"], 3.14159);
  EXPECT_TRUE(json["tables"][0]["rows"][1]["value"].is_null());
  EXPECT_TRUE(json["charts"][0]["series"][0]["y"][1].is_null());
  EXPECT_EQ(json["charts"][0]["series"][1]["published"], true);
}

TEST(Report, JsonHasMarksAndBarsByColumnOnlyWhereThereAreAny) {
  Report report = small_report();
  const auto plain = nlohmann::json::parse(report_json(report));
  EXPECT_FALSE(plain.contains("gantts"));
  EXPECT_FALSE(plain["charts"][0].contains("marks"));
  report.charts[0].marks = {{.name = "limit", .x = 1.5}};
  report.gantts.push_back({.title = "Work",
                           .note = "all of it",
                           .x_name = "seconds",
                           .rows = {"a", "b"},
                           .kinds = {"done", "wasted"},
                           .bars = {{.row = 1, .kind = 0, .begin = 0.5, .end = 2}, {.row = 0, .kind = 1, .end = 1}}});
  const auto json = nlohmann::json::parse(report_json(report));
  EXPECT_EQ(json["charts"][0]["marks"][0], nlohmann::json({{"name", "limit"}, {"x", 1.5}}));
  EXPECT_EQ(json["gantts"][0]["bars"],
            nlohmann::json({{"row", {1, 0}}, {"kind", {0, 1}}, {"begin", {0.5, 0.0}}, {"end", {2.0, 1.0}}}));
}

TEST(Report, ThePageCarriesItsDataAndLibraryAndNothingInTheDataEndsAScript) {
  const std::string page = report_html(small_report(), {.script = "/*library*/", .style = "/*style*/"});
  EXPECT_NE(page.find("/*library*/"), std::string::npos);
  EXPECT_NE(page.find("/*style*/"), std::string::npos);
  EXPECT_EQ(page.find("</script> of a title"), std::string::npos);
  EXPECT_EQ(page.find("http"), std::string::npos) << "nothing is fetched";
  const std::string mark = "id=\"data\">";
  const std::size_t begin = page.find(mark) + mark.size();
  const auto data = nlohmann::json::parse(page.substr(begin, page.find("</script>", begin) - begin));
  EXPECT_EQ(data["title"], small_report().title);
}

}  // namespace
}  // namespace mooncake::sim
