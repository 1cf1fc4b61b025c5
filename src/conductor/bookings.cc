#include "conductor/bookings.h"

#include "base/check.h"

namespace mooncake::conductor {

void Bookings::book(const Booking& booking, Instant now) {
  release(booking.request, now);
  CHECK(bookings_.size() < kBookingsMax);
  bookings_.emplace(booking.request, Parts{.booking = booking});
  prefill_[booking.prefill].push(booking.request, booking.prefill_work, now, booking.tenant);
  ++prompts_[booking.tenant.id];
  for (const Reading& reading : booking.readings) {
    outlets_[{reading.node, reading.outlet}].push(booking.request, reading.work, now);
  }
  decode_[booking.decode].push({.request = booking.request,
                                .kv_tokens = booking.kv_tokens,
                                .prompt_tokens = booking.prompt_tokens,
                                .expected_join = booking.expected_join});
}

void Bookings::start_prefill(RequestNumber request, Instant now) {
  const auto at = bookings_.find(request);
  if (at == bookings_.end() || !at->second.prefill) return;
  prefill_[at->second.booking.prefill].start(request, now);
}

void Bookings::end_prefill(RequestNumber request, Instant now) {
  const auto at = bookings_.find(request);
  if (at == bookings_.end()) return;
  drop_prefill(at->second, now);
  if (!at->second.decode) bookings_.erase(at);
}

void Bookings::join_decode(RequestNumber request, Instant now) {
  const auto at = bookings_.find(request);
  if (at == bookings_.end() || !at->second.decode) return;
  decode_[at->second.booking.decode].join(request, now);
}

void Bookings::release(RequestNumber request, Instant now) {
  const auto at = bookings_.find(request);
  if (at == bookings_.end()) return;
  drop_prefill(at->second, now);
  drop_decode(at->second);
  bookings_.erase(at);
}

void Bookings::release_instance(InstanceId instance, Instant now) {
  for (auto at = bookings_.begin(); at != bookings_.end();) {
    const auto current = at++;  // erasing invalidates only the erased
    Parts& parts = current->second;
    if (parts.booking.prefill == instance) drop_prefill(parts, now);
    if (parts.booking.decode == instance) drop_decode(parts);
    if (!parts.prefill && !parts.decode) bookings_.erase(current);
  }
  prefill_.erase(instance);  // both are empty now
  decode_.erase(instance);
}

const WorkLine& Bookings::prefill_line(InstanceId instance) const {
  static const WorkLine kNone;
  const auto at = prefill_.find(instance);
  return at == prefill_.end() ? kNone : at->second;
}

const DecodeLine& Bookings::decode_line(InstanceId instance) const {
  static const DecodeLine kNone;
  const auto at = decode_.find(instance);
  return at == decode_.end() ? kNone : at->second;
}

const Booking* Bookings::find(RequestNumber request) const {
  const auto at = bookings_.find(request);
  return at == bookings_.end() ? nullptr : &at->second.booking;
}

Nanos Bookings::backlog(NodeId node, Outlet outlet, Instant now) {
  const auto at = outlets_.find(std::pair(node, outlet));
  if (at == outlets_.end()) return Nanos{0};
  at->second.expire(now);
  return at->second.left(now);
}

void Bookings::drop_prefill(Parts& parts, Instant now) {
  if (!parts.prefill) return;
  parts.prefill = false;
  const Booking& booking = parts.booking;
  CHECK(prefill_[booking.prefill].remove(booking.request, now));
  const auto prompts = prompts_.find(booking.tenant.id);
  if (--prompts->second == 0) prompts_.erase(prompts);
  // They may have expired by prediction already.
  for (const Reading& reading : booking.readings) {
    outlets_[{reading.node, reading.outlet}].remove(booking.request, now);
  }
}

void Bookings::drop_decode(Parts& parts) {
  if (!parts.decode) return;
  parts.decode = false;
  CHECK(decode_[parts.booking.decode].remove(parts.booking.request));
}

}  // namespace mooncake::conductor
