#include "conductor/local/fair_line.h"

#include <algorithm>

namespace mooncake::conductor {
namespace {

/// Turns of `quantum` each until `work` is paid for.
std::int64_t turns_for(Nanos work, Nanos quantum) {
  return std::max<std::int64_t>(1, (work + quantum - Nanos{1}) / quantum);
}

}  // namespace

void FairLine::push(const Tenant& tenant, const Piece& piece) {
  auto line = std::ranges::find(lines_, tenant.id, [](const Line& known) { return known.tenant.id; });
  if (line == lines_.end()) line = lines_.insert(line, Line{.tenant = tenant, .pieces = {}});
  line->tenant.weight = tenant.weight;
  line->pieces.push_back(piece);
  line->sum += piece.predicted;
  sum_ += piece.predicted;
  ++size_;
}

// The fewest turns, then the order of the turns.
FairLine::Turn FairLine::choose() const {
  if (in_turn_) return {};
  Turn best{.position = 0,
            .turns = turns_for(lines_[0].pieces.front().predicted - lines_[0].deficit, lines_[0].quantum())};
  for (std::size_t i = 1; i < lines_.size(); ++i) {
    const std::int64_t turns = turns_for(lines_[i].pieces.front().predicted - lines_[i].deficit, lines_[i].quantum());
    if (turns < best.turns) best = {.position = i, .turns = turns};
  }
  return best;
}

// Everybody before the one that is served has had as many turns, everybody after it one less. None of them could pay,
// so no deficit grows beyond its first piece.
void FairLine::take_turns(const Turn& turn) {
  if (turn.turns == 0) return;
  for (std::size_t i = 0; i < lines_.size(); ++i) {
    lines_[i].deficit += lines_[i].quantum() * (i <= turn.position ? turn.turns : turn.turns - 1);
  }
  std::rotate(lines_.begin(), lines_.begin() + static_cast<std::ptrdiff_t>(turn.position), lines_.end());
  in_turn_ = true;
}

const FairLine::Piece* FairLine::next() const {
  return lines_.empty() ? nullptr : &lines_[choose().position].pieces.front();
}

std::optional<FairLine::Piece> FairLine::pop() {
  if (lines_.empty()) return std::nullopt;
  take_turns(choose());
  Line& line = lines_.front();
  const Piece piece = line.pieces.front();
  line.deficit -= piece.predicted;
  forget_piece(line, line.pieces.begin());
  return piece;
}

bool FairLine::remove(RequestNumber request) {
  for (Line& line : lines_) {
    const auto piece = std::ranges::find(line.pieces, request, &Piece::request);
    if (piece == line.pieces.end()) continue;
    forget_piece(line, piece);
    return true;
  }
  return false;
}

void FairLine::forget_piece(Line& line, std::deque<Piece>::iterator piece) {
  line.sum -= piece->predicted;
  sum_ -= piece->predicted;
  --size_;
  line.pieces.erase(piece);
  if (line.pieces.empty()) {
    if (&line == &lines_.front()) in_turn_ = false;
    lines_.erase(lines_.begin() + (&line - lines_.data()));  // and its deficit: who has nothing waiting saves nothing
  }
  settle();
}

// A turn ends when what is left of it does not pay for the next piece.
void FairLine::settle() {
  if (!in_turn_ || lines_.front().pieces.front().predicted <= lines_.front().deficit) return;
  in_turn_ = false;
  std::rotate(lines_.begin(), lines_.begin() + 1, lines_.end());
}

Nanos FairLine::ahead_of(const Tenant& tenant, Nanos predicted) const {
  Nanos own{0}, deficit{0};
  for (const Line& line : lines_) {
    if (line.tenant.id != tenant.id) continue;
    own = line.sum;
    deficit = line.deficit;
  }
  if (own == sum_) return own;
  // What others have saved up before counts for as much as what they will have saved up then: both are left out.
  const std::int64_t turns = turns_for(own + predicted - deficit, kTurnQuantum * tenant.weight);
  Nanos ahead = own;
  for (const Line& line : lines_) {
    if (line.tenant.id != tenant.id) ahead += std::min(line.sum, line.quantum() * turns);
  }
  return ahead;
}

bool FairLine::contains(RequestNumber request) const {
  return std::ranges::any_of(lines_, [request](const Line& line) {
    return std::ranges::find(line.pieces, request, &Piece::request) != line.pieces.end();
  });
}

}  // namespace mooncake::conductor
