#include "base/log.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>
#include <vector>

namespace mooncake {
namespace {

namespace fs = std::filesystem;

class Log : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "mooncake_log_XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    folder_ = name;
  }
  void TearDown() override {
    EXPECT_TRUE(log_init({}).ok());  // back to standard error
    fs::remove_all(folder_);
  }

  [[nodiscard]] fs::path file() const { return folder_ / "process.log"; }
  [[nodiscard]] std::vector<nlohmann::json> lines() const {
    std::vector<nlohmann::json> parsed;
    std::ifstream stream(file());
    for (std::string line; std::getline(stream, line);) parsed.push_back(nlohmann::json::parse(line, nullptr, false));
    return parsed;
  }

  fs::path folder_;
};

TEST_F(Log, FilesHoldOneJsonObjectALine) {
  ASSERT_TRUE(log_init({.process = "prefill-0", .file = file()}).ok());
  log_info("joined {} nodes", 3);
  log_warn("said \"{}\"\nand more", "no");
  const auto parsed = lines();
  ASSERT_EQ(parsed.size(), 2u);
  EXPECT_EQ(parsed[0]["level"], "info");
  EXPECT_EQ(parsed[0]["process"], "prefill-0");
  EXPECT_EQ(parsed[0]["message"], "joined 3 nodes");
  EXPECT_EQ(parsed[0]["time"].get<std::string>().size(), std::string("2025-01-31T12:00:00.123Z").size());
  EXPECT_EQ(parsed[1]["level"], "warning");
  EXPECT_EQ(parsed[1]["message"], "said \"no\"\nand more");
}

TEST_F(Log, ForeignBytesDoNotBreakTheJson) {
  ASSERT_TRUE(log_init({.process = "p", .file = file()}).ok());
  log_info("{}", std::string_view("\xff\x00\x01 {}", 6));
  const auto parsed = lines();
  ASSERT_EQ(parsed.size(), 1u);
  EXPECT_FALSE(parsed[0].is_discarded());
}

TEST_F(Log, LevelsBelowTheConfiguredAreNotWritten) {
  ASSERT_TRUE(log_init({.process = "p", .file = file(), .level = LogLevel::kWarn}).ok());
  EXPECT_FALSE(log_enabled(LogLevel::kInfo));
  EXPECT_TRUE(log_enabled(LogLevel::kError));
  log_info("quiet");
  log_error("loud");
  const auto parsed = lines();
  ASSERT_EQ(parsed.size(), 1u);
  EXPECT_EQ(parsed[0]["message"], "loud");
}

TEST_F(Log, RotatesAndKeepsNoMoreThanItsLimit) {
  ASSERT_TRUE(log_init({.process = "p", .file = file()}).ok());
  const std::string line(1 << 20, 'x');
  for (int i = 0; i < 35; ++i) log_info("{}", line);
  std::size_t files = 0;
  for (const auto& entry : fs::directory_iterator(folder_)) {
    ++files;
    EXPECT_LE(entry.file_size(), kLogFileBytesMax);
  }
  EXPECT_EQ(files, kLogFilesMax);
}

TEST_F(Log, UnwritableFileIsAnErrorThatNamesIt) {
  std::ofstream(folder_ / "in_the_way") << "a file, not a folder";
  const Status status = log_init({.process = "p", .file = folder_ / "in_the_way" / "process.log"});
  EXPECT_EQ(status.code(), Code::kUnavailable);
  EXPECT_NE(status.message().find("in_the_way/process.log"), std::string::npos) << status.message();
}

TEST_F(Log, ThreadsWriteWholeLines) {
  ASSERT_TRUE(log_init({.process = "p", .file = file()}).ok());
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([t] {
      for (int i = 0; i < 100; ++i) log_info("thread {} line {}", t, i);
    });
  }
  for (std::thread& thread : threads) thread.join();
  const auto parsed = lines();
  EXPECT_EQ(parsed.size(), 400u);
  for (const auto& line : parsed) EXPECT_FALSE(line.is_discarded());
}

}  // namespace
}  // namespace mooncake
