// DecodeLine: the requests that one decode instance has been given: some run, others are promised and still in prefill.
//
// Pure; thread-compatible. Sums are O(1), changes O(size).
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/time.h"
#include "conductor/conductor.h"

namespace mooncake::conductor {

/// How much a decode instance has to do.
struct DecodeLoad {
  std::uint32_t requests = 0;
  std::uint64_t kv_tokens = 0;      ///< with their longest answers
  std::uint64_t prompt_tokens = 0;  ///< without answers

  DecodeLoad& operator+=(const DecodeLoad& other);
  DecodeLoad& operator-=(const DecodeLoad& other);
};

class DecodeLine {
 public:
  struct Piece {
    RequestNumber request{};
    std::uint64_t kv_tokens = 0;
    std::uint32_t prompt_tokens = 0;
    Instant expected_join{};          ///< as predicted when it was promised
    std::optional<Instant> joined{};  ///< when it began to run; nothing: it has not
  };

  void push(const Piece& piece);
  /// `request` runs from `now` on. Ignored if it does already, or is unknown.
  void join(RequestNumber request, Instant now);
  /// @return false if it is unknown.
  bool remove(RequestNumber request);

  [[nodiscard]] const DecodeLoad& all() const { return all_; }
  [[nodiscard]] const DecodeLoad& joined() const { return joined_; }
  /// In no order, but always the same after the same calls.
  [[nodiscard]] std::span<const Piece> pieces() const { return pieces_; }

 private:
  std::vector<Piece> pieces_;
  DecodeLoad all_;
  DecodeLoad joined_;
};

/// What one piece adds.
DecodeLoad load_of(const DecodeLine::Piece& piece);

}  // namespace mooncake::conductor
