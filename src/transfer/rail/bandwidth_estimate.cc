#include "transfer/rail/bandwidth_estimate.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"

namespace mooncake::transfer {
namespace {

constexpr double kWeightMax = 0.25;

double median(const std::array<double, 3>& of) {
  return std::max(std::min(of[0], of[1]), std::min(std::max(of[0], of[1]), of[2]));
}

double seconds(Nanos duration) { return std::chrono::duration<double>(duration).count(); }

}  // namespace

BandwidthEstimate::BandwidthEstimate(double prior_bytes_per_s) : prior_(prior_bytes_per_s) {
  CHECK(prior_bytes_per_s > 0);
  restart(prior_);
}

void BandwidthEstimate::restart(double from) {
  estimate_ = from;
  last_.fill(from);
  samples_ = 0;
  bytes_ = 0;
  busy_ = {};
}

void BandwidthEstimate::on_started(Instant now) {
  if (in_flight_++ > 0) return;
  idle_ += now - since_;
  since_ = now;
  was_idle_ = true;
}

void BandwidthEstimate::leave(Instant now) {
  CHECK(in_flight_ > 0);
  --in_flight_;
  since_ = now;
  was_idle_ = false;
}

void BandwidthEstimate::on_lost(Instant now) { leave(now); }

void BandwidthEstimate::on_done(std::size_t bytes, Instant now) {
  CHECK(bytes > 0);
  if (idle_ > kForget) restart(bytes_per_s(now));
  idle_ = {};
  const bool latency = was_idle_ && bytes < kMeasuredBytesMin;
  if (!latency) {
    bytes_ += static_cast<double>(bytes);
    busy_ += now - since_;
  }
  leave(now);
  if (busy_ >= kSampleTime) add_sample();
}

void BandwidthEstimate::add_sample() {
  last_[samples_ % last_.size()] = bytes_ / seconds(busy_);
  ++samples_;
  const double smoothed = std::min(kWeightMax, 1 - std::exp(-seconds(busy_) / seconds(kSmoothing)));
  const double weight = samples_ <= last_.size() ? 1 : smoothed;
  estimate_ += weight * (median(last_) - estimate_);
  bytes_ = 0;
  busy_ = {};
}

double BandwidthEstimate::bytes_per_s(Instant now) const {
  if (estimate_ >= prior_) return estimate_;
  const Nanos idle = in_flight_ > 0 ? idle_ : idle_ + (now - since_);
  return std::min(prior_, estimate_ * std::exp2(seconds(idle) / seconds(kForget)));
}

}  // namespace mooncake::transfer
