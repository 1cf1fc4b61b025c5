// CHECK: for states that only a bug of ours can produce. On in every build; prints what failed and aborts, because a
// process that has lost its own invariants must not answer anybody. Bad input from peers, files or users is never a
// CHECK: it is a Status.
#pragma once

namespace mooncake {

/// Prints "file:line: check failed: expression" to standard error and aborts. Thread-safe.
[[noreturn]] void check_failed(const char* file, int line, const char* expression);

}  // namespace mooncake

/// Aborts the process when `condition` is false. The condition is evaluated exactly once, in every build type.
#define CHECK(condition) ((condition) ? static_cast<void>(0) : ::mooncake::check_failed(__FILE__, __LINE__, #condition))
