#include "conductor/load_estimate.h"

#include <gtest/gtest.h>

namespace mooncake::conductor {
namespace {

constexpr InstanceId kPrefill{0}, kDecode{1};

Instant at(int ms) { return Instant(Millis(ms)); }

void book(Bookings& bookings, std::uint64_t number, int at_ms) {
  bookings.book({.request = RequestNumber{number},
                 .prefill = kPrefill,
                 .decode = kDecode,
                 .prefill_work = Millis(100),
                 .prompt_tokens = 1000,
                 .kv_tokens = 1500},
                at(at_ms));
}

InstanceStats prefill_report(int outstanding_ms, std::uint32_t prompts) {
  return {.id = kPrefill,
          .outstanding = Millis(outstanding_ms),
          .running = prompts > 0 ? 1u : 0u,
          .queued = prompts > 0 ? prompts - 1 : 0};
}

TEST(LoadEstimate, BookingCountsBeforeAnyReport) {
  Bookings bookings;
  LoadEstimate load(bookings);
  book(bookings, 1, 0);
  EXPECT_EQ(load.prefill_queue(kPrefill, at(30)), Millis(70));
  EXPECT_EQ(load.prefill_requests(kPrefill), 1u);
}

TEST(LoadEstimate, ReportedBookingIsNotCountedTwice) {
  Bookings bookings;
  LoadEstimate load(bookings);
  book(bookings, 1, 0);
  load.on_stats(prefill_report(80, 1), at(20));
  EXPECT_EQ(load.prefill_queue(kPrefill, at(20)), Millis(80));
  EXPECT_EQ(load.prefill_requests(kPrefill), 1u);
  book(bookings, 2, 30);
  EXPECT_EQ(load.prefill_queue(kPrefill, at(30)), Millis(170)) << "a booking after the report is added to it";
  EXPECT_EQ(load.prefill_requests(kPrefill), 2u);
}

TEST(LoadEstimate, BookingTooYoungForTheReportIsAdded) {
  Bookings bookings;
  LoadEstimate load(bookings);
  book(bookings, 1, 18);
  load.on_stats(prefill_report(0, 0), at(20));
  EXPECT_EQ(load.prefill_queue(kPrefill, at(20)), Millis(98));
}

TEST(LoadEstimate, WorkOfOthersIsAddedAndDrains) {
  Bookings bookings;
  LoadEstimate load(bookings);
  load.on_stats(prefill_report(500, 3), at(0));
  EXPECT_EQ(load.prefill_queue(kPrefill, at(100)), Millis(400));
  EXPECT_EQ(load.prefill_queue(kPrefill, at(900)), Millis(0));
  book(bookings, 1, 100);
  EXPECT_EQ(load.prefill_queue(kPrefill, at(100)), Millis(600));
  EXPECT_EQ(load.prefill_requests(kPrefill), 4u);
}

TEST(LoadEstimate, FasterWorkerThanPredictedLowersTheEstimate) {
  Bookings bookings;
  LoadEstimate load(bookings);
  book(bookings, 1, 0);
  book(bookings, 2, 0);
  load.on_stats(prefill_report(40, 2), at(20));  // we would have said 180
  EXPECT_EQ(load.prefill_queue(kPrefill, at(20)), Millis(40));
  EXPECT_EQ(load.prefill_queue(kPrefill, at(90)), Millis(0)) << "never negative";
}

TEST(LoadEstimate, DecodeLoadIsOursAndWhatOthersAddToIt) {
  Bookings bookings;
  LoadEstimate load(bookings);
  book(bookings, 1, 0);
  load.on_stats({.id = kDecode, .running = 3, .queued = 1, .kv_tokens_used = 6000}, at(0));
  EXPECT_EQ(load.decode(kDecode).requests, 4u);
  EXPECT_EQ(load.decode(kDecode).kv_tokens, 6000u);
  load.on_stats({.id = kDecode, .running = 0, .queued = 0, .kv_tokens_used = 0}, at(1));
  EXPECT_EQ(load.decode(kDecode).requests, 1u) << "ours is promised although it has not arrived";
  load.on_stats({.id = kDecode, .running = 9, .queued = 0, .kv_tokens_used = 9000}, at(2));
  load.forget(kDecode);
  EXPECT_EQ(load.decode(kDecode).requests, 1u);
}

}  // namespace
}  // namespace mooncake::conductor
