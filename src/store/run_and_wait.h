// run_and_wait: a step on an executor, for callers on other threads that must not go on before it is done: destructors.
#pragma once

#include <absl/functional/any_invocable.h>

#include "base/executor.h"

namespace mooncake::store {

/// Runs `task` on `executor` and returns when it has run. On the executor's own thread, and when the executor has
/// stopped and runs nothing any more, it runs right here.
void run_and_wait(Executor& executor, absl::AnyInvocable<void()> task);

}  // namespace mooncake::store
