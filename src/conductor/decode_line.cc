#include "conductor/decode_line.h"

#include <algorithm>

#include "base/check.h"

namespace mooncake::conductor {

DecodeLoad load_of(const DecodeLine::Piece& piece) {
  return {.requests = 1, .kv_tokens = piece.kv_tokens, .prompt_tokens = piece.prompt_tokens};
}

DecodeLoad& DecodeLoad::operator+=(const DecodeLoad& other) {
  requests += other.requests;
  kv_tokens += other.kv_tokens;
  prompt_tokens += other.prompt_tokens;
  return *this;
}

DecodeLoad& DecodeLoad::operator-=(const DecodeLoad& other) {
  CHECK(requests >= other.requests && kv_tokens >= other.kv_tokens && prompt_tokens >= other.prompt_tokens);
  requests -= other.requests;
  kv_tokens -= other.kv_tokens;
  prompt_tokens -= other.prompt_tokens;
  return *this;
}

void DecodeLine::push(const Piece& piece) {
  pieces_.push_back(piece);
  all_ += load_of(piece);
  if (piece.joined) joined_ += load_of(piece);
}

void DecodeLine::join(RequestNumber request, Instant now) {
  const auto at = std::ranges::find(pieces_, request, &Piece::request);
  if (at == pieces_.end() || at->joined) return;
  at->joined = now;
  joined_ += load_of(*at);
}

bool DecodeLine::remove(RequestNumber request) {
  const auto at = std::ranges::find(pieces_, request, &Piece::request);
  if (at == pieces_.end()) return false;
  all_ -= load_of(*at);
  if (at->joined) joined_ -= load_of(*at);
  *at = pieces_.back();
  pieces_.pop_back();
  return true;
}

}  // namespace mooncake::conductor
