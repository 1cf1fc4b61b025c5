// WorkLine: predicted work that one server (an instance, a node's sending side) does piece by piece: tenants take turns
// as in the worker's own queue (local/fair_line.h), and of a tenant, and so without tenants, in order.
//
// The piece in work counts down with time from when it started; the others count in full. When it leaves, the one whose
// turn it is starts at that moment. A piece that takes longer than predicted counts as nothing until it leaves.
//
// Pure: time is passed in and must not decrease. Thread-compatible.
#pragma once

#include <cstdint>
#include <optional>

#include "base/time.h"
#include "conductor/conductor.h"
#include "conductor/local/fair_line.h"

namespace mooncake::conductor {

class WorkLine {
 public:
  /// Appends work of `request`. A request may have one piece in a line.
  void push(RequestNumber request, Nanos predicted, Instant now, const Tenant& tenant = {});
  /// Removes the piece of `request`, done or given up. @return false if there is none. O(size).
  bool remove(RequestNumber request, Instant now);
  /// Corrects when the piece in work started: not at its turn by prediction, but now. Ignored for other requests.
  void start(RequestNumber request, Instant now);
  /// Removes everything whose predicted end has passed: for work whose end nobody reports.
  void expire(Instant now);

  /// Predicted work left. O(1).
  [[nodiscard]] Nanos left(Instant now) const;
  /// The part of it that is done before a piece of `predicted` that `tenant` would push now, if nobody else comes: all
  /// of it with one tenant. O(tenants); as exact as FairLine::ahead_of().
  [[nodiscard]] Nanos left_before(const Tenant& tenant, Nanos predicted, Instant now) const;
  /// As left(), of pieces that were pushed at or before `pushed_by`. O(size).
  [[nodiscard]] Nanos left_of_pushed_by(Instant pushed_by, Instant now) const;
  /// How many pieces those are. O(size).
  [[nodiscard]] std::uint32_t size_of_pushed_by(Instant pushed_by) const;
  [[nodiscard]] std::uint32_t size() const { return static_cast<std::uint32_t>(waiting_.size()) + (in_work_ ? 1 : 0); }

 private:
  [[nodiscard]] Nanos in_work_left(Instant now) const;

  FairLine waiting_;
  std::optional<FairLine::Piece> in_work_;  // something is, whenever there is anything
  Instant started_{};
};

}  // namespace mooncake::conductor
