#include "conductor/bookings.h"

#include <gtest/gtest.h>

#include <map>

#include "base/rng.h"

namespace mooncake::conductor {
namespace {

constexpr InstanceId kPrefill{0}, kDecode{1};
constexpr NodeId kNode{7};
constexpr Instant kNow{};

Booking booking(std::uint64_t number) {
  return {.request = RequestNumber{number},
          .prefill = kPrefill,
          .decode = kDecode,
          .prefill_work = Millis(100),
          .readings = {{kNode, Outlet::kLink, Millis(20)}, {kNode, Outlet::kSsd, Millis(5)}},
          .prompt_tokens = 1000,
          .kv_tokens = 1500};
}

TEST(Bookings, CountUntilTheirPhasesEnd) {
  Bookings bookings;
  bookings.book(booking(1), kNow);
  EXPECT_EQ(bookings.prefill_line(kPrefill).left(kNow), Millis(100));
  EXPECT_EQ(bookings.backlog(kNode, Outlet::kLink, kNow), Millis(20));
  EXPECT_EQ(bookings.backlog(kNode, Outlet::kSsd, kNow), Millis(5));
  EXPECT_EQ(bookings.decode_line(kDecode).all().kv_tokens, 1500u);

  bookings.end_prefill(RequestNumber{1}, kNow);
  EXPECT_EQ(bookings.prefill_line(kPrefill).size(), 0u);
  for (const Outlet outlet : {Outlet::kLink, Outlet::kSsd}) {
    EXPECT_EQ(bookings.backlog(kNode, outlet, kNow), Millis(0));
  }
  EXPECT_EQ(bookings.decode_line(kDecode).all().requests, 1u);

  bookings.release(RequestNumber{1}, kNow);
  EXPECT_EQ(bookings.decode_line(kDecode).all().requests, 0u);
  EXPECT_EQ(bookings.size(), 0u);
  bookings.release(RequestNumber{1}, kNow);
  bookings.end_prefill(RequestNumber{99}, kNow);
}

TEST(Bookings, KnowWhoRunsAndWhoIsPromised) {
  Bookings bookings;
  bookings.book(booking(1), kNow);
  bookings.book(booking(2), kNow);
  EXPECT_EQ(bookings.decode_line(kDecode).joined().requests, 0u);
  bookings.join_decode(RequestNumber{2}, kNow + Millis(5));
  bookings.join_decode(RequestNumber{2}, kNow + Millis(7));
  bookings.join_decode(RequestNumber{99}, kNow);
  EXPECT_EQ(bookings.decode_line(kDecode).joined().requests, 1u);
  EXPECT_EQ(bookings.decode_line(kDecode).joined().kv_tokens, 1500u);
  EXPECT_EQ(bookings.decode_line(kDecode).pieces()[1].joined, kNow + Millis(5));
  bookings.release(RequestNumber{2}, kNow + Millis(9));
  EXPECT_EQ(bookings.decode_line(kDecode).joined().requests, 0u);
  EXPECT_EQ(bookings.decode_line(kDecode).all().requests, 1u);
}

TEST(Bookings, BookingAgainReplaces) {
  Bookings bookings;
  bookings.book(booking(1), kNow);
  bookings.book(booking(1), kNow);
  EXPECT_EQ(bookings.prefill_line(kPrefill).size(), 1u);
  EXPECT_EQ(bookings.decode_line(kDecode).all().requests, 1u);
}

TEST(Bookings, TransfersEndByPrediction) {
  Bookings bookings;
  bookings.book(booking(1), kNow);
  bookings.book(booking(2), kNow);
  EXPECT_EQ(bookings.backlog(kNode, Outlet::kLink, kNow + Millis(30)), Millis(10));
  EXPECT_EQ(bookings.backlog(kNode, Outlet::kLink, kNow + Millis(50)), Millis(0));
  bookings.release(RequestNumber{1}, kNow + Millis(60));
  EXPECT_EQ(bookings.prefill_line(kPrefill).size(), 1u);
}

TEST(Bookings, LostInstanceReleasesItsPartOnly) {
  Bookings bookings;
  bookings.book(booking(1), kNow);
  bookings.release_instance(kPrefill, kNow);
  EXPECT_EQ(bookings.prefill_line(kPrefill).size(), 0u);
  EXPECT_EQ(bookings.decode_line(kDecode).all().requests, 1u) << "decode may have the whole KVCache already";
  bookings.release_instance(kDecode, kNow);
  EXPECT_EQ(bookings.size(), 0u);
}

// Random booking, ending, losing: what each instance holds always equals the sum over the bookings that a plain map
// says are there, and nothing is left when all are released.
TEST(Bookings, AreConservedOnRandomUse) {
  struct Twin {
    Booking booking;
    bool prefill = true;
    bool decode = true;
  };
  Rng rng(11);
  Bookings bookings;
  std::map<std::uint64_t, Twin> twin;
  Instant now = kNow;
  for (int step = 0; step < 20'000; ++step) {
    now += Millis(rng.below(20));
    const std::uint64_t number = rng.below(30);
    const auto known = twin.find(number);
    switch (rng.below(8)) {
      case 0:
      case 1:
      case 2: {
        Booking next = booking(number);
        next.prefill = InstanceId{static_cast<std::uint32_t>(rng.below(3))};
        next.decode = InstanceId{static_cast<std::uint32_t>(3 + rng.below(3))};
        next.prompt_tokens = static_cast<std::uint32_t>(rng.below(100));
        next.kv_tokens = next.prompt_tokens + rng.below(100);
        if (rng.below(2) == 0) next.readings.clear();
        bookings.book(next, now);
        twin[number] = {.booking = next};
        break;
      }
      case 3:
      case 4:
        bookings.end_prefill(RequestNumber{number}, now);
        if (known != twin.end()) known->second.prefill = false;
        break;
      case 5:
      case 6:
        bookings.release(RequestNumber{number}, now);
        twin.erase(number);
        break;
      case 7: {
        if (rng.below(10) != 0) break;
        const InstanceId lost{static_cast<std::uint32_t>(rng.below(6))};
        bookings.release_instance(lost, now);
        for (auto& [id, entry] : twin) {
          if (entry.booking.prefill == lost) entry.prefill = false;
          if (entry.booking.decode == lost) entry.decode = false;
        }
        break;
      }
    }
    std::erase_if(twin, [](const auto& entry) { return !entry.second.prefill && !entry.second.decode; });
    ASSERT_EQ(bookings.size(), twin.size());
    for (std::uint32_t id = 0; id < 6; ++id) {
      std::uint32_t prompts = 0;
      DecodeLoad decode;
      for (const auto& [n, entry] : twin) {
        prompts += entry.prefill && entry.booking.prefill == InstanceId{id};
        if (!entry.decode || entry.booking.decode != InstanceId{id}) continue;
        decode.requests += 1;
        decode.kv_tokens += entry.booking.kv_tokens;
        decode.prompt_tokens += entry.booking.prompt_tokens;
      }
      ASSERT_EQ(bookings.prefill_line(InstanceId{id}).size(), prompts) << "step " << step;
      ASSERT_EQ(bookings.decode_line(InstanceId{id}).all().requests, decode.requests);
      ASSERT_EQ(bookings.decode_line(InstanceId{id}).all().kv_tokens, decode.kv_tokens);
      ASSERT_EQ(bookings.decode_line(InstanceId{id}).all().prompt_tokens, decode.prompt_tokens);
    }
  }
  for (std::uint64_t number = 0; number < 30; ++number) bookings.release(RequestNumber{number}, now);
  EXPECT_EQ(bookings.size(), 0u);
  EXPECT_EQ(bookings.backlog(kNode, Outlet::kLink, now), Millis(0));
}

}  // namespace
}  // namespace mooncake::conductor
