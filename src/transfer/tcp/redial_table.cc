#include "transfer/tcp/redial_table.h"

#include <algorithm>

namespace mooncake::transfer {

std::optional<Millis> RedialTable::on_lost(std::uint8_t rail) {
  Rail& state = rails_.at(rail);
  if (state.planned) return std::nullopt;
  state.planned = true;
  const Millis pause = state.pause;
  state.pause = std::min(2 * pause, kRedialMax);
  return pause;
}

}  // namespace mooncake::transfer
