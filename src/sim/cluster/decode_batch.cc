#include "sim/cluster/decode_batch.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/check.h"
#include "kvcache/slo.h"

namespace mooncake::sim {
namespace {

// Steps over which the growth is measured, so that rounding to nanoseconds is a thousandth of what it would be.
constexpr std::uint64_t kGrowthSteps = 1024;

/// The first `steps` steps together.
Nanos sum_of(std::uint64_t steps, Nanos first, Nanos growth) {
  const auto count = static_cast<std::int64_t>(steps);
  return first * count + growth * (count * (count - 1) / 2);
}

/// The least number of steps that take `time` or more. The root of the quadratic, put right where it was rounded.
std::uint64_t steps_for(Nanos time, Nanos first, Nanos growth) {
  const auto f = static_cast<double>(first.count());
  const auto g = static_cast<double>(growth.count());
  const auto t = static_cast<double>(time.count());
  const double b = f - g / 2;
  const double root = growth.count() == 0 ? t / f : (std::sqrt(b * b + 2 * g * t) - b) / g;
  auto steps = static_cast<std::uint64_t>(std::max(0.0, std::ceil(root)));
  while (steps > 0 && sum_of(steps - 1, first, growth) >= time) --steps;
  while (sum_of(steps, first, growth) < time) ++steps;
  return steps;
}

}  // namespace

Instant DecodeBatch::boundary(Instant now) const {
  if (members_.empty()) return now;
  return started_ + sum_of(steps_for(now - started_, first_, growth_), first_, growth_);
}

std::optional<Instant> DecodeBatch::next_end() const {
  if (members_.empty()) return std::nullopt;
  std::uint64_t end = UINT64_MAX;
  for (const Inside& inside : members_) end = std::min(end, inside.first_step + inside.member.steps);
  return started_ + sum_of(end - step_, first_, growth_);
}

std::vector<DecodeBatch::Ended> DecodeBatch::advance(Instant boundary) {
  std::vector<Ended> ended;
  if (!members_.empty() && boundary > started_) {
    const std::uint64_t steps = steps_for(boundary - started_, first_, growth_);
    CHECK(started_ + sum_of(steps, first_, growth_) == boundary);
    take_steps(steps);
  }
  for (const Inside& inside : members_) {
    CHECK(inside.first_step + inside.member.steps >= step_);
    if (inside.first_step + inside.member.steps > step_) continue;
    ended.push_back({.request = inside.member.request, .tbt = kvcache::request_tbt(gaps_of(inside))});
    context_ -= inside.member.context + inside.member.steps;
  }
  std::erase_if(members_, [this](const Inside& inside) { return inside.first_step + inside.member.steps == step_; });
  forget_old_stretches();
  restart(boundary);
  return ended;
}

std::vector<DecodeBatch::GivenUp> DecodeBatch::give_up(Instant now) {
  Instant boundary = started_;  // the last one
  if (!members_.empty() && now > started_) {
    std::uint64_t steps = steps_for(now - started_, first_, growth_);
    if (sum_of(steps, first_, growth_) > now - started_) --steps;
    boundary += sum_of(steps, first_, growth_);
    if (steps > 0) take_steps(steps);
  }
  std::vector<GivenUp> all;
  all.reserve(members_.size());
  for (const Inside& inside : members_) {
    const auto steps = static_cast<std::uint32_t>(step_ - inside.first_step);
    CHECK(steps < inside.member.steps);
    all.push_back({.request = inside.member.request,
                   .steps = steps,
                   .previous_token = steps > 0 ? boundary : inside.member.previous_token,
                   .gaps = gaps_of(inside)});
  }
  members_.clear();
  past_.clear();
  context_ = 0;
  pause_ = Nanos{0};
  restart(now);
  return all;
}

void DecodeBatch::join(Member member) {
  CHECK(member.steps > 0);
  if (members_.empty()) pause_ = Nanos{0};
  context_ += member.context;
  members_.push_back({.member = std::move(member), .first_step = step_, .joined = started_, .pause_before = pause_});
  restart(started_);
}

void DecodeBatch::pause(Nanos duration) {
  started_ += duration;
  pause_ += duration;
}

// Goes on by `steps` of the present stretch, at least one.
void DecodeBatch::take_steps(std::uint64_t steps) {
  past_.push_back({.first_step = step_, .steps = steps, .first = first_, .growth = growth_, .pause = pause_});
  pause_ = Nanos{0};
  step_ += steps;
  context_ += steps * members_.size();
}

void DecodeBatch::restart(Instant now) {
  started_ = now;
  if (members_.empty()) return;
  const auto batch = static_cast<std::uint32_t>(members_.size());
  first_ = std::max(cost_.tbt(instance_, batch, context_), Nanos{1});
  growth_ = (cost_.tbt(instance_, batch, context_ + kGrowthSteps * batch) - first_) / kGrowthSteps;
}

// How long `step` took. `stretch` is where to look first; asked in ascending order, this takes O(1) on average.
Nanos DecodeBatch::gap_of(std::uint64_t step, std::size_t& stretch) const {
  while (step >= past_[stretch].first_step + past_[stretch].steps) ++stretch;
  const Stretch& at = past_[stretch];
  const Nanos gap = at.first + at.growth * static_cast<std::int64_t>(step - at.first_step);
  return step == at.first_step ? gap + at.pause : gap;
}

std::vector<Nanos> DecodeBatch::gaps_of(const Inside& inside) const {
  std::vector<Nanos> gaps;
  const std::size_t before = inside.member.gaps.size();
  gaps.reserve(before + (step_ - inside.first_step));
  gaps = inside.member.gaps;
  std::size_t stretch = 0;
  for (std::uint64_t step = inside.first_step; step < step_; ++step) gaps.push_back(gap_of(step, stretch));
  if (gaps.size() > before) gaps[before] += inside.joined - inside.member.previous_token - inside.pause_before;
  return gaps;
}

void DecodeBatch::forget_old_stretches() {
  std::uint64_t oldest = step_;
  for (const Inside& inside : members_) oldest = std::min(oldest, inside.first_step);
  while (!past_.empty() && past_.front().first_step + past_.front().steps <= oldest) past_.pop_front();
}

}  // namespace mooncake::sim
