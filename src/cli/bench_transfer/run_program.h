// Programs of this machine that a benchmark compares with: found in PATH, run to their end, and what they printed.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "base/time.h"
#include "cli/up/child_process.h"

namespace mooncake::cli {

/// The first executable `name` in a list of directories like PATH. @return kNotFound, with how to install it.
Result<std::string> find_program(std::string_view name, std::string_view path);

/// Waits for the end of a process. Blocks. @return whether it came within `patience`.
bool ends_within(const ChildProcess& child, Millis patience);

/// Runs `program` (a path) and waits for its end, however it ends. Blocks. From the thread that lives as long as this
/// process (child_process.h).
/// @return the first MiB of what it printed, also as errors; kDeadlineExceeded if it takes longer than `patience`, and
/// then it is killed.
Result<std::string> run_program(const std::string& program, const std::vector<std::string>& arguments, Millis patience);

}  // namespace mooncake::cli
