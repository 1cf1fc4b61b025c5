// Scenario poisson of `mooncake bench serve`: an open loop. Requests are sent when they arrive, however many are under
// way, so that a server that is too slow shows it as latency and not as a lower rate (coordinated omission).
#include <fmt/core.h>

#include <thread>

#include "cli/bench_client.h"
#include "cli/bench_pool.h"
#include "cli/bench_progress.h"
#include "cli/bench_prompts.h"
#include "cli/bench_serve.h"
#include "cli/bench_stats.h"
#include "kvcache/slo.h"

namespace mooncake::cli {
namespace {

// A thread each; beyond it the client, not the server, would be measured, so arrivals are counted as not sent.
constexpr std::uint32_t kInFlightMax = 512;
// One schedule of arrivals; ten hours at 27 a second.
constexpr double kArrivalsMax = 1e6;
// How often the bar moves while the last answers are awaited.
constexpr Millis kProgressPeriod{100};

struct Outcome {
  bool sent = false;
  bool refused = false;
  bool failed = false;
  Nanos ttft{};
  Nanos tbt{};
  std::uint32_t answer_tokens = 0;
  std::string error;
};

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
double send_all(const BenchServeOptions& options, const std::string& model, const std::vector<double>& arrivals,
                std::size_t prompt_bytes, Outcomes& outcomes) {
  BenchProgress progress;
  Rng rng(options.seed);
  const SteadyClock clock;
  const Instant start = clock.now();
  std::size_t sent = 0;
  const auto elapsed_s = [&] { return to_ms(clock.now() - start) / 1e3; };
  const auto show = [&] {
    progress.show(elapsed_s() / options.duration_s,
                  fmt::format("{} of {} sent, {} answered", sent, arrivals.size(), outcomes.done()));
  };
  {
    RequestPool pool(kInFlightMax);
    for (std::size_t i = 0; i < arrivals.size(); ++i) {
      CompletionRequest request{
          .model = model, .prompt = random_text(prompt_bytes, rng), .answer_tokens = options.answer_tokens};
      const Instant due = start + from_ms(arrivals[i] * 1e3);
      while (clock.now() < due) {
        show();
        std::this_thread::sleep_until(std::min(due, clock.now() + kProgressPeriod));
      }
      const auto send = [&outcomes, &options, i, request = std::move(request)] {
        outcomes.set(i, measure_completion(options.url, request));
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

struct Summary {
  std::vector<double> ttft_ms;
  std::vector<double> tbt_ms;
  double completed = 0;
  double met = 0;
  double refused = 0;
  double failed = 0;
  double not_sent = 0;
  double answer_tokens = 0;
  std::string first_error;
};

Summary summarize(const std::vector<Outcome>& outcomes, const kvcache::Slo& slo) {
  Summary summary;
  for (const Outcome& outcome : outcomes) {
    summary.not_sent += !outcome.sent;
    summary.refused += outcome.refused;
    summary.failed += outcome.failed;
    if (outcome.failed && summary.first_error.empty()) summary.first_error = outcome.error;
    if (!outcome.sent || outcome.refused || outcome.failed) continue;
    summary.completed += 1;
    summary.met += kvcache::meets(slo, outcome.ttft, outcome.tbt);
    summary.answer_tokens += outcome.answer_tokens;
    summary.ttft_ms.push_back(to_ms(outcome.ttft));
    summary.tbt_ms.push_back(to_ms(outcome.tbt));
  }
  return summary;
}

std::vector<BenchRow> rows_of(const Summary& summary, std::size_t arrivals, double wall_s) {
  std::vector<BenchRow> rows;
  const auto add = [&](std::string name, double value, std::string unit, Better better) {
    rows.push_back({.name = std::move(name), .value = value, .unit = std::move(unit), .better = better});
  };
  for (const double percent : {50.0, 90.0, 99.0}) {
    add(fmt::format("ttft_ms_p{:.0f}", percent), percentile(summary.ttft_ms, percent), "ms", Better::kLower);
  }
  for (const double percent : {50.0, 90.0, 99.0}) {
    add(fmt::format("tbt_ms_p{:.0f}", percent), percentile(summary.tbt_ms, percent), "ms", Better::kLower);
  }
  const auto requests = static_cast<double>(arrivals);
  add("goodput_rps", summary.met / wall_s, "requests/s", Better::kHigher);
  add("goodput_share", requests > 0 ? summary.met / requests : 0, "of requests", Better::kHigher);
  add("answer_tokens_per_s", summary.answer_tokens / wall_s, "tokens/s", Better::kHigher);
  add("requests", requests, "requests", Better::kHigher);
  add("completed", summary.completed, "requests", Better::kHigher);
  add("refused", summary.refused, "requests", Better::kLower);
  add("failed", summary.failed, "requests", Better::kLower);
  rows.back().reason = summary.first_error;
  add("not_sent", summary.not_sent, "requests", Better::kLower);
  if (summary.not_sent > 0) rows.back().reason = fmt::format("more than {} in flight", kInFlightMax);
  return rows;
}

}  // namespace

Result<std::vector<BenchRow>> bench_poisson(const BenchServeOptions& options, const std::string& model) {
  if (options.rate * options.duration_s > kArrivalsMax) {
    return Status(Code::kInvalidArgument, fmt::format("rate x duration is more than {:.0f} requests", kArrivalsMax));
  }
  // One text is counted; the others are as long in bytes, so about as long in tokens.
  Rng rng(options.seed + 1);
  const auto count = [&](std::string_view text) { return count_tokens(options.url, text); };
  MC_ASSIGN_OR_RETURN(const std::string typical, sized_text(options.prompt_tokens, count, rng));
  const std::vector<double> arrivals = poisson_arrivals(options.rate, options.duration_s, options.seed + 2);
  Outcomes outcomes(arrivals.size());
  const double wall_s = send_all(options, model, arrivals, typical.size(), outcomes);
  const kvcache::Slo slo{.ttft = ttft_objective(options), .tbt = tbt_objective(options)};
  const Summary summary = summarize(outcomes.take(), slo);
  if (summary.completed == 0 && summary.failed > 0) return Status(Code::kUnavailable, summary.first_error);
  return rows_of(summary, arrivals.size(), wall_s);
}

}  // namespace mooncake::cli
