#include "transfer/file/write_gate.h"

#include <algorithm>

#include "base/check.h"

namespace mooncake::transfer {

bool WriteGate::enter(FileId file, bool direct, std::uint64_t id) {
  Turn& turn = turns_[file];
  if (turn.running > 0 && (turn.direct != direct || !turn.waiting.empty())) {
    turn.waiting.push_back({id, direct});
    return false;
  }
  turn.direct = direct;
  ++turn.running;
  return true;
}

std::vector<std::uint64_t> WriteGate::leave(FileId file) {
  const auto found = turns_.find(file);
  CHECK(found != turns_.end() && found->second.running > 0);
  Turn& turn = found->second;
  --turn.running;
  std::vector<std::uint64_t> begin;
  while (!turn.waiting.empty() && (turn.running == 0 || turn.waiting.front().direct == turn.direct)) {
    turn.direct = turn.waiting.front().direct;
    ++turn.running;
    begin.push_back(turn.waiting.front().id);
    turn.waiting.pop_front();
  }
  if (turn.running == 0) turns_.erase(found);
  return begin;
}

bool WriteGate::forget(FileId file, std::uint64_t id) {
  const auto found = turns_.find(file);
  return found != turns_.end() &&
         std::erase_if(found->second.waiting, [&](const Waiting& each) { return each.id == id; }) > 0;
}

}  // namespace mooncake::transfer
