#include "conductor/local/fair_line.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <list>
#include <map>

#include "base/rng.h"

namespace mooncake::conductor {
namespace {

Tenant tenant(std::uint64_t id, std::uint32_t weight = 1) { return {.id = TenantId{id}, .weight = weight}; }
FairLine::Piece piece(std::uint64_t request, Nanos predicted) {
  return {.request = RequestNumber{request}, .predicted = predicted};
}

/// Deficit round robin as SIGCOMM 1995 writes it: turn after turn, a quantum each.
class SlowTwin {
 public:
  void push(const Tenant& who, const FairLine::Piece& what) {
    for (Line& line : active_) {
      if (line.tenant.id != who.id) continue;
      line.tenant.weight = who.weight;
      return line.pieces.push_back(what);
    }
    active_.push_back({.tenant = who, .pieces = {what}});
  }

  std::optional<FairLine::Piece> pop() {
    if (active_.empty()) return std::nullopt;
    while (!in_turn_) {
      active_.front().deficit += kTurnQuantum * active_.front().tenant.weight;
      in_turn_ = true;
      end_turn_if_it_is_over();
    }
    Line& line = active_.front();
    const FairLine::Piece first = line.pieces.front();
    line.pieces.pop_front();
    line.deficit -= first.predicted;
    end_turn_if_it_is_over();
    return first;
  }

  void remove(RequestNumber request) {
    for (auto line = active_.begin(); line != active_.end(); ++line) {
      const auto at = std::ranges::find(line->pieces, request, &FairLine::Piece::request);
      if (at == line->pieces.end()) continue;
      line->pieces.erase(at);
      if (line == active_.begin()) return end_turn_if_it_is_over();
      if (line->pieces.empty()) active_.erase(line);
      return;
    }
  }

 private:
  struct Line {
    Tenant tenant;
    Nanos deficit{};
    std::list<FairLine::Piece> pieces;
  };
  void end_turn_if_it_is_over() {
    Line& line = active_.front();
    if (line.pieces.empty()) {
      active_.pop_front();
      in_turn_ = false;
    } else if (in_turn_ && line.pieces.front().predicted > line.deficit) {
      active_.splice(active_.end(), active_, active_.begin());
      in_turn_ = false;
    }
  }

  std::list<Line> active_;
  bool in_turn_ = false;
};

/// Half of the prompts are shorter than a quantum; some take dozens of them.
Nanos random_work(Rng& rng) { return rng.below(2) == 0 ? Millis(rng.below(100)) : Millis(rng.below(4'000)); }

TEST(FairLine, TurnsThatAreAddedUpAreTheTurnsOfItsSlowTwin) {
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    Rng rng(seed);
    FairLine line;
    SlowTwin twin;
    Nanos waiting{};
    std::map<RequestNumber, Nanos> known;
    for (std::uint64_t i = 0; i < 600; ++i) {
      switch (rng.below(5)) {
        case 0:
        case 1:
        case 2: {
          const std::uint64_t id = rng.below(1 + seed % 7);
          const FairLine::Piece one = piece(i, random_work(rng));
          line.push(tenant(id, 1 + static_cast<std::uint32_t>(id)), one);
          twin.push(tenant(id, 1 + static_cast<std::uint32_t>(id)), one);
          waiting += one.predicted;
          known[one.request] = one.predicted;
          break;
        }
        case 3: {
          const auto expected = twin.pop();
          const FairLine::Piece* next = line.next();
          ASSERT_EQ(next != nullptr, expected.has_value());
          if (!expected) break;
          ASSERT_EQ(next->request, expected->request) << "seed " << seed << ", step " << i;
          ASSERT_EQ(line.pop()->request, expected->request);
          waiting -= expected->predicted;
          known.erase(expected->request);
          break;
        }
        default: {
          const RequestNumber one{rng.below(i + 1)};
          ASSERT_EQ(line.contains(one), known.contains(one));
          ASSERT_EQ(line.remove(one), known.contains(one));
          twin.remove(one);
          if (known.contains(one)) waiting -= known[one];
          known.erase(one);
        }
      }
      ASSERT_EQ(line.sum(), waiting);
      ASSERT_EQ(line.size(), known.size());
    }
  }
}

TEST(FairLine, OneTenantIsFirstComeFirstServed) {
  Rng rng(4);
  FairLine line;
  std::uint64_t pushed = 0, popped = 0;
  for (int i = 0; i < 2'000; ++i) {
    if (rng.below(3) > 0) {
      line.push(tenant(7), piece(pushed++, random_work(rng)));
    } else if (const auto next = line.pop()) {
      ASSERT_EQ(next->request, RequestNumber{popped++});
    }
    ASSERT_EQ(line.ahead_of(tenant(7), Seconds(1)), line.sum()) << "a prompt waits for all that is there";
  }
}

// The theorem of the paper, over every interval in which both always have something waiting.
TEST(FairLine, BackloggedTenantsDifferByAQuantumAndTheirLongestPromptsByWeight) {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    Rng rng(seed);
    const std::array<Tenant, 2> tenants = {tenant(1, 1 + static_cast<std::uint32_t>(rng.below(5))), tenant(2)};
    std::array<Nanos, 2> longest{}, served{};
    FairLine line;
    std::uint64_t number = 0;
    const auto refill = [&](std::size_t who) {
      const Nanos work = who == 0 ? random_work(rng) : Millis(1 + rng.below(50));
      longest[who] = std::max(longest[who], work);
      line.push(tenants[who], piece(2 * number++ + who, work));
    };
    for (std::size_t who : {0, 1, 0, 1, 0, 1}) refill(who);
    double least = 0, most = 0;
    for (int i = 0; i < 5'000; ++i) {
      const auto next = line.pop();
      const std::size_t who = static_cast<std::uint64_t>(next->request) % 2;
      served[who] += next->predicted;
      refill(who);
      const double ahead = to_ms(served[0]) / tenants[0].weight - to_ms(served[1]) / tenants[1].weight;
      least = std::min(least, ahead);
      most = std::max(most, ahead);
    }
    EXPECT_LE(most - least,
              to_ms(kTurnQuantum) + to_ms(longest[0]) / tenants[0].weight + to_ms(longest[1]) / tenants[1].weight);
    EXPECT_GT(to_ms(served[1]), 10 * to_ms(longest[0])) << "long enough to say something";
  }
}

TEST(FairLine, NobodyStarvesBehindAFlood) {
  FairLine line;
  for (std::uint64_t i = 0; i < 20'000; ++i) line.push(tenant(1, kTenantWeightMax), piece(i, Millis(20)));
  line.push(tenant(2), piece(90'000, Seconds(3)));
  Nanos before{};
  while (line.next()->request != RequestNumber{90'000}) before += line.pop()->predicted;
  EXPECT_EQ(before, 30 * kTurnQuantum * kTenantWeightMax)
      << "3 s are 30 turns, in each of which the other has 100 quanta";
}

TEST(FairLine, ATenantThatComesWaitsForATurnOfEachThatIsThere) {
  FairLine line;
  for (std::uint64_t i = 0; i < 1'000; ++i) line.push(tenant(i % 4), piece(i, Millis(20)));
  for (int i = 0; i < 7; ++i) (void)line.pop();
  line.push(tenant(9), piece(2'000, Millis(40)));
  Nanos before{};
  while (line.next()->request != RequestNumber{2'000}) before += line.pop()->predicted;
  EXPECT_LE(before, 4 * kTurnQuantum);
}

TEST(FairLine, WhoHasNothingWaitingSavesNothing) {
  FairLine line;
  line.push(tenant(1), piece(1, Millis(250)));
  EXPECT_EQ(line.pop()->request, RequestNumber{1});
  EXPECT_EQ(line.pop(), std::nullopt);
  // 50 ms were left of the third turn; with them request 2 would be paid for in one turn, before 3 is in two.
  line.push(tenant(2), piece(3, Millis(150)));
  line.push(tenant(1), piece(2, Millis(140)));
  EXPECT_EQ(line.pop()->request, RequestNumber{3});
}

TEST(FairLine, WhatComesBeforeAPromptIsForeseenToAQuantumAndAPromptOfEachOther) {
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    Rng rng(seed);
    FairLine line;
    std::map<std::uint64_t, Nanos> longest;
    const auto weight = [](std::uint64_t id) { return 1 + static_cast<std::uint32_t>(id % 3); };
    for (std::uint64_t i = 0; i < 150; ++i) {
      const std::uint64_t id = 1 + rng.below(5);
      const Nanos work = random_work(rng);
      longest[id] = std::max(longest[id], work);
      line.push(tenant(id, weight(id)), piece(i, work));
      if (rng.below(3) == 0) (void)line.pop();
    }
    const std::uint64_t id = 1 + rng.below(6);  // 6 has nothing waiting
    const FairLine::Piece last = piece(1'000, random_work(rng));
    const Nanos foreseen = line.ahead_of(tenant(id, weight(id)), last.predicted);
    line.push(tenant(id, weight(id)), last);
    Nanos before{};
    while (line.next()->request != last.request) before += line.pop()->predicted;
    Nanos bound{};
    for (const auto& [other, work] : longest) {
      if (other != id) bound += work + kTurnQuantum * weight(other);
    }
    EXPECT_LE(std::abs(to_ms(foreseen - before)), to_ms(bound)) << "seed " << seed;
  }
}

}  // namespace
}  // namespace mooncake::conductor
