#include "conductor/bookings.h"

#include "base/check.h"

namespace mooncake::conductor {

void Bookings::book(const Booking& booking, Instant now) {
  release(booking.request, now);
  CHECK(bookings_.size() < kBookingsMax);
  bookings_.emplace(booking.request, Parts{.booking = booking});
  prefill_[booking.prefill].push(booking.request, booking.prefill_work, now);
  if (booking.sender) senders_[*booking.sender].push(booking.request, booking.transfer_work, now);
  DecodeBookings& decode = decode_[booking.decode];
  decode.requests += 1;
  decode.kv_tokens += booking.kv_tokens;
  decode.prompt_tokens += booking.prompt_tokens;
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

DecodeBookings Bookings::decode(InstanceId instance) const {
  const auto at = decode_.find(instance);
  return at == decode_.end() ? DecodeBookings{} : at->second;
}

Nanos Bookings::sender_backlog(NodeId node, Instant now) {
  const auto at = senders_.find(node);
  if (at == senders_.end()) return Nanos{0};
  at->second.expire(now);
  return at->second.left(now);
}

void Bookings::drop_prefill(Parts& parts, Instant now) {
  if (!parts.prefill) return;
  parts.prefill = false;
  const Booking& booking = parts.booking;
  CHECK(prefill_[booking.prefill].remove(booking.request, now));
  // The transfer may have expired by prediction already.
  if (booking.sender) senders_[*booking.sender].remove(booking.request, now);
}

void Bookings::drop_decode(Parts& parts) {
  if (!parts.decode) return;
  parts.decode = false;
  DecodeBookings& decode = decode_[parts.booking.decode];
  CHECK(decode.requests > 0 && decode.kv_tokens >= parts.booking.kv_tokens);
  decode.requests -= 1;
  decode.kv_tokens -= parts.booking.kv_tokens;
  decode.prompt_tokens -= parts.booking.prompt_tokens;
}

}  // namespace mooncake::conductor
