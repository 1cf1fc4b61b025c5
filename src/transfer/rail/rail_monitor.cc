#include "transfer/rail/rail_monitor.h"

#include <algorithm>

#include "base/check.h"

namespace mooncake::transfer {

RailMonitor::RailMonitor(std::uint32_t rail_count) : rails_(rail_count) {}

bool RailMonitor::can_use(RailId id, Instant now) const { return usable(at(id), now); }

bool RailMonitor::try_use(RailId id, Instant now) {
  Rail& rail = at(id);
  if (!usable(rail, now)) return false;
  if (rail.health != Health::kHealthy) {
    rail.health = Health::kProbing;
    rail.until = now + kProbeTimeout;
  }
  return true;
}

void RailMonitor::on_success(RailId id) { at(id) = Rail{}; }

void RailMonitor::on_failure(RailId id, Instant now) {
  Rail& rail = at(id);
  if (rail.health == Health::kCooling) return;
  rail.cooldown = std::clamp(rail.cooldown * 2, kCooldownMin, kCooldownMax);
  rail.health = Health::kCooling;
  rail.until = now + rail.cooldown;
}

// Slices that were in flight when the cool-down began cannot be told from the probe; at worst one more slice is let
// through.
void RailMonitor::on_abandoned(RailId id, Instant now) {
  Rail& rail = at(id);
  if (rail.health == Health::kProbing) rail.until = now;
}

std::uint32_t RailMonitor::usable_count(Instant now) const {
  return static_cast<std::uint32_t>(
      std::ranges::count_if(rails_, [now](const Rail& rail) { return usable(rail, now); }));
}

// A lost probe makes the rail usable again, as a new probe, rather than blocking it for ever.
bool RailMonitor::usable(const Rail& rail, Instant now) { return rail.health == Health::kHealthy || now >= rail.until; }

RailMonitor::Rail& RailMonitor::at(RailId id) {
  const auto index = static_cast<std::uint32_t>(id);
  CHECK(index < rails_.size());
  return rails_[index];
}

const RailMonitor::Rail& RailMonitor::at(RailId id) const {
  const auto index = static_cast<std::uint32_t>(id);
  CHECK(index < rails_.size());
  return rails_[index];
}

}  // namespace mooncake::transfer
