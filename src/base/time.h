// Time as a value. Cores receive `Instant now`; shells read it from a Clock that is passed in, so that tests and the
// simulator decide what time it is. Instants are monotonic and mean nothing outside this process: durations, never
// instants, go on the wire.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

namespace mooncake {

using Nanos = std::chrono::nanoseconds;
using Micros = std::chrono::microseconds;
using Millis = std::chrono::milliseconds;
using Seconds = std::chrono::seconds;

/// A point on this process's monotonic clock, in nanoseconds. Instant{} is the origin, before every reading.
using Instant = std::chrono::time_point<std::chrono::steady_clock, Nanos>;

/// The instant at which an operation stops trying. kNever is for tools and tests: services always have one.
using Deadline = Instant;
inline constexpr Deadline kNever = Instant::max();

/// Whole milliseconds from `now` until `deadline`, at least 0; what goes on the wire. kNever gives INT64_MAX / 1e6.
constexpr std::int64_t remaining_ms(Deadline deadline, Instant now) {
  return deadline <= now ? 0 : std::chrono::duration_cast<Millis>(deadline - now).count();
}

/// Milliseconds as a real number, for metrics, predictions and JSON.
constexpr double to_ms(Nanos duration) { return std::chrono::duration<double, std::milli>(duration).count(); }

/// The reverse of to_ms; rounds towards zero.
constexpr Nanos from_ms(double ms) {
  return std::chrono::duration_cast<Nanos>(std::chrono::duration<double, std::milli>(ms));
}

/// Where the time comes from. Thread-safe.
class Clock {
 public:
  virtual ~Clock() = default;
  [[nodiscard]] virtual Instant now() const = 0;
};

/// The real monotonic clock.
class SteadyClock final : public Clock {
 public:
  [[nodiscard]] Instant now() const override { return std::chrono::steady_clock::now(); }
};

/// A clock that moves only when told to. For tests and the simulator. Thread-safe.
class ManualClock final : public Clock {
 public:
  [[nodiscard]] Instant now() const override { return Instant(Nanos(now_ns_.load())); }
  void advance(Nanos by) { now_ns_ += by.count(); }

 private:
  std::atomic<std::int64_t> now_ns_{0};
};

}  // namespace mooncake
