// Executor: where work runs. Each piece of mutable state in a shell belongs to one executor; whoever wants something of
// it posts a task there. So state needs no lock, and the order of its changes is the order of the posts.
#pragma once

#include <absl/functional/any_invocable.h>

#include <cstdint>

#include "base/time.h"

namespace mooncake {

/// A piece of work, run once. Move-only captures are welcome.
using Task = absl::AnyInvocable<void()>;

/// Names a pending timer of one executor. TimerId{0} names none.
enum class TimerId : std::uint64_t {};

/// Runs tasks one at a time, in the order they were posted. All members may be called from any thread.
class Executor {
 public:
  virtual ~Executor() = default;

  /// Runs `task` soon, after everything posted before it. Never runs it inside this call. Tasks posted after the
  /// executor has stopped are destroyed without running.
  virtual void post(Task task) = 0;

  /// Runs `task` at `when` or shortly after.
  virtual TimerId post_at(Instant when, Task task) = 0;

  /// Forgets a timer. No-op when it has run, is running, or was cancelled. Called on the executor's own thread it
  /// guarantees that the task will not run.
  virtual void cancel(TimerId timer) = 0;

  /// True when the caller runs inside one of this executor's tasks.
  [[nodiscard]] virtual bool is_current() const = 0;

  /// The clock that post_at is measured on.
  [[nodiscard]] virtual const Clock& clock() const = 0;
};

}  // namespace mooncake
