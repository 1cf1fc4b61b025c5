#include "cli/bench_open_loop.h"

#include <fmt/core.h>

#include <algorithm>
#include <thread>

#include "base/mutex.h"
#include "cli/bench_client.h"
#include "cli/bench_pool.h"
#include "cli/bench_progress.h"

namespace mooncake::cli {
namespace {

// How often the bar moves while nothing else is to be done.
constexpr Millis kProgressPeriod{100};

// Outcomes, written by the pool's threads and read when they have ended.
class Outcomes {
 public:
  explicit Outcomes(std::size_t count) : outcomes_(count) {}

  void set(std::size_t index, const Result<CompletionFacts>& facts) EXCLUDES(mutex_) {
    const MutexLock lock(mutex_);
    Outcome& outcome = outcomes_[index];
    outcome.sent = true;
    ++done_;
    if (facts.ok()) {
      outcome.ttft = facts->ttft;
      outcome.tbt = kvcache::request_tbt(facts->gaps);
      outcome.prompt_tokens = facts->prompt_tokens;
      outcome.cached_tokens = facts->cached_tokens;
      outcome.answer_tokens = facts->answer_tokens;
      return;
    }
    outcome.refused = is_refusal(facts.status());
    outcome.failed = !outcome.refused;
    outcome.error = facts.status().message();
  }
  std::size_t done() EXCLUDES(mutex_) {
    const MutexLock lock(mutex_);
    return done_;
  }
  std::vector<Outcome> take() EXCLUDES(mutex_) {
    const MutexLock lock(mutex_);
    return std::move(outcomes_);
  }

 private:
  Mutex mutex_;
  std::vector<Outcome> outcomes_ GUARDED_BY(mutex_);
  std::size_t done_ GUARDED_BY(mutex_) = 0;
};

// Sends every arrival at its time, and waits for the answers. @return the wall time in seconds.
double send_all(const OpenLoop& loop, Outcomes& outcomes) {
  BenchProgress progress;
  const SteadyClock clock;
  const Instant start = clock.now();
  const double last_s = loop.arrivals.empty() ? 0 : loop.arrivals.back().at_s;
  std::size_t sent = 0;
  const auto elapsed_s = [&] { return to_ms(clock.now() - start) / 1e3; };
  const auto show = [&] {
    progress.show(last_s > 0 ? elapsed_s() / last_s : 1,
                  fmt::format("{} of {} sent, {} answered", sent, loop.arrivals.size(), outcomes.done()));
  };
  {
    RequestPool pool(kInFlightMax);
    for (std::size_t i = 0; i < loop.arrivals.size(); ++i) {
      CompletionRequest request{
          .model = loop.model, .prompt = loop.prompt(i), .answer_tokens = loop.arrivals[i].answer_tokens};
      const Instant due = start + from_ms(loop.arrivals[i].at_s * 1e3);
      while (clock.now() < due) {
        show();
        std::this_thread::sleep_until(std::min(due, clock.now() + kProgressPeriod));
      }
      const auto send = [&outcomes, &loop, i, request = std::move(request)] {
        outcomes.set(i, measure_completion(loop.gateway, request));
      };
      sent += pool.try_run(send) ? 1 : 0;
    }
    while (outcomes.done() < sent) {
      show();
      std::this_thread::sleep_for(kProgressPeriod);
    }
  }
  return elapsed_s();
}

}  // namespace

Result<OpenLoopResult> run_open_loop(const OpenLoop& loop) {
  Outcomes outcomes(loop.arrivals.size());
  OpenLoopResult result;
  result.wall_s = send_all(loop, outcomes);
  result.outcomes = outcomes.take();
  const auto failed = std::ranges::find(result.outcomes, true, &Outcome::failed);
  if (failed != result.outcomes.end() && std::ranges::none_of(result.outcomes, &Outcome::completed)) {
    return Status(Code::kUnavailable, failed->error);
  }
  return result;
}

}  // namespace mooncake::cli
