#include "cli/up/child_process.h"

#include <gtest/gtest.h>
#include <poll.h>

#include <csignal>
#include <fstream>
#include <iterator>

#include "cli/scratch_dir.h"

namespace mooncake::cli {
namespace {

Result<ChildProcess> shell(const ScratchDir& scratch, const std::string& script) {
  return ChildProcess::start("/bin/sh", {"-c", script}, scratch.path() + "/out");
}

bool wait_readable(int fd) {
  pollfd entry{fd, POLLIN, 0};
  return ::poll(&entry, 1, 10'000) == 1;
}

std::string await_line(ChildProcess& child) {
  std::string line;
  while (line.empty() && child.ready_fd() >= 0 && wait_readable(child.ready_fd())) line = child.read_ready();
  return line;
}

TEST(ChildProcess, ReadyLinesArriveWholeAndOneByOne) {
  const ScratchDir scratch;
  auto child = shell(scratch, "printf '{\"a\":' >&3; printf '1}\\n2\\nmore' >&3; exec 3>&-; exec sleep 60");
  ASSERT_TRUE(child.ok()) << child.status().to_string();
  EXPECT_EQ(await_line(*child), "{\"a\":1}");
  EXPECT_EQ(child->read_ready(), "2");
  EXPECT_EQ(await_line(*child), "");
  EXPECT_EQ(child->ready_fd(), -1) << "nothing can come any more";
}

TEST(ChildProcess, ExitStatusAndOutputAreKept) {
  const ScratchDir scratch;
  auto child = shell(scratch, "echo said; echo complained >&2; exit 7");
  ASSERT_TRUE(child.ok());
  ASSERT_TRUE(wait_readable(child->exit_fd()));
  EXPECT_EQ(child->reap(), "exited with status 7");
  std::ifstream in(scratch.path() + "/out");
  EXPECT_EQ(std::string(std::istreambuf_iterator<char>(in), {}), "said\ncomplained\n");
}

TEST(ChildProcess, DeathBySignalIsNamed) {
  const ScratchDir scratch;
  auto child = shell(scratch, "echo up >&3; exec sleep 60");
  ASSERT_TRUE(child.ok());
  EXPECT_EQ(await_line(*child), "up");
  child->signal(SIGTERM);
  EXPECT_EQ(child->reap(), "was killed by signal 15 (Terminated)");
}

TEST(ChildProcess, EndsWithItsOwner) {
  const ScratchDir scratch;
  pid_t pid = -1;
  {
    auto child = shell(scratch, "exec sleep 60");
    ASSERT_TRUE(child.ok());
    pid = child->pid();
    EXPECT_EQ(::kill(pid, 0), 0);
  }
  EXPECT_EQ(::kill(pid, 0), -1);
}

TEST(ChildProcess, MissingProgramShowsAsStatus127) {
  const ScratchDir scratch;
  auto child = ChildProcess::start(scratch.path() + "/absent", {}, scratch.path() + "/out");
  ASSERT_TRUE(child.ok());
  EXPECT_EQ(child->reap(), "exited with status 127");
}

TEST(ChildProcess, RunsInAProcessGroupOfItsOwn) {
  const ScratchDir scratch;
  auto child = shell(scratch, "echo up >&3; exec sleep 60");
  ASSERT_TRUE(child.ok());
  EXPECT_EQ(await_line(*child), "up");
  EXPECT_EQ(::getpgid(child->pid()), child->pid());
}

}  // namespace
}  // namespace mooncake::cli
