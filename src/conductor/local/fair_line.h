// FairLine: work that waits, in lines of its tenants, who take turns by deficit round robin.
//
//   turns ->  | A: 3 waiting, deficit 20 ms | B: 1 waiting, deficit 0 | C: ...      then A again
//
// A tenant's turn adds kTurnQuantum times its weight to its deficit, and what its first pieces are predicted to take is
// paid from that; what is left is kept for its next turn, as long as something of it waits. A piece that is longer than
// the deficit waits for as many turns as it needs; turns in which nobody could pay are not walked through but added up.
// A tenant that comes waits for one turn of each that is there already, whatever they have waiting.
//
// While two tenants have work waiting, what they are served, each divided by its weight, differs by at most a quantum
// and, of either, its longest piece divided by its weight. Within a tenant: first come, first served. So with one
// tenant this is a plain queue.
//
// Pure; thread-compatible. Operations are O(tenants that wait) unless they say otherwise.
// Source: Shreedhar and Varghese, Efficient Fair Queuing Using Deficit Round-Robin, SIGCOMM 1995.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

#include "base/time.h"
#include "conductor/conductor.h"
#include "conductor/tenant.h"

namespace mooncake::conductor {

/// What a turn is worth at weight 1. Prompts longer than this save up over several turns, at no cost; of shorter ones
/// (40 ms on the simulated laptop) a tenant gets a few in a row, and delays others by no more than they notice.
inline constexpr Nanos kTurnQuantum = Millis(100);

class FairLine {
 public:
  struct Piece {
    RequestNumber request{};
    Nanos predicted{};  ///< at least 0
    Instant pushed{};
  };

  /// Appends to the tenant's line. A request waits once only. The weight of a tenant's last piece is the one that
  /// counts.
  void push(const Tenant& tenant, const Piece& piece);
  /// What pop() would return.
  [[nodiscard]] const Piece* next() const;
  /// Takes the piece whose turn it is; nothing if none waits.
  std::optional<Piece> pop();
  /// Takes a piece out of turn, at no cost to its tenant. @return false if it does not wait here. O(size).
  bool remove(RequestNumber request);

  /// Predicted work that pop() gives out before a piece that `tenant` would push now, if nobody else comes: all of its
  /// own, and of each other tenant what its turns are worth until then. Exact with one tenant; otherwise off by at most
  /// a quantum and a longest piece of each other tenant.
  [[nodiscard]] Nanos ahead_of(const Tenant& tenant, Nanos predicted) const;
  /// Predicted work that waits.
  [[nodiscard]] Nanos sum() const { return sum_; }
  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] bool contains(RequestNumber request) const;  // O(size)

  /// Calls `visit(const Piece&)` for every piece, a tenant's in their order. O(size).
  template <typename Visit>
  void for_each(const Visit& visit) const {
    for (const Line& line : lines_) {
      for (const Piece& piece : line.pieces) visit(piece);
    }
  }

 private:
  struct Line {
    Tenant tenant;
    Nanos deficit{};
    Nanos sum{};
    std::deque<Piece> pieces;  // not empty

    [[nodiscard]] Nanos quantum() const { return kTurnQuantum * tenant.weight; }
  };
  /// Who is served next, and how many turns it has until then, that one included.
  struct Turn {
    std::size_t position = 0;
    std::int64_t turns = 0;  // 0: it is in the middle of one
  };
  [[nodiscard]] Turn choose() const;
  void take_turns(const Turn& turn);
  void forget_piece(Line& line, std::deque<Piece>::iterator piece);
  void settle();

  std::vector<Line> lines_;  // in the order of their turns
  bool in_turn_ = false;     // the first has had its quantum, and its first piece is paid for
  Nanos sum_{};
  std::size_t size_ = 0;
};

}  // namespace mooncake::conductor
