// RedialTable: when to dial a rail again on which connections were lost: after 1 s, doubling to 60 s while that fails,
// so that a dead network card costs one attempt a minute and a hiccup a second. Pure. Thread-compatible.
#pragma once

#include <array>
#include <optional>

#include "base/time.h"
#include "transfer/frame.h"

namespace mooncake::transfer {

inline constexpr Millis kRedialMin{1'000};
inline constexpr Millis kRedialMax{60'000};

class RedialTable {
 public:
  /// A connection on `rail` (below kEndpointsMax) was lost, or an attempt failed. @return after how long to dial, or
  /// nothing if that is planned already.
  std::optional<Millis> on_lost(std::uint8_t rail);
  /// The time is over: what is missing is dialled now.
  void on_due(std::uint8_t rail) { rails_.at(rail).planned = false; }
  /// A connection was made: the next loss begins at the shortest pause.
  void on_made(std::uint8_t rail) { rails_.at(rail).pause = kRedialMin; }

 private:
  struct Rail {
    bool planned = false;
    Millis pause = kRedialMin;
  };
  std::array<Rail, kEndpointsMax> rails_;
};

}  // namespace mooncake::transfer
