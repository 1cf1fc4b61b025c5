// DecodeDurations: how long requests have been decoding lately, to predict when a place becomes free and who will still
// be there. It looks at what is over, never at the length of an answer to come.
//
// Pure: time is passed in. Thread-compatible.
#pragma once

#include <absl/container/flat_hash_map.h>

#include <deque>
#include <vector>

#include "base/time.h"
#include "conductor/conductor.h"

namespace mooncake::conductor {

/// Durations that are remembered: enough for a hundredth, few enough to follow a workload that changes.
inline constexpr std::size_t kDurationsMax = 1000;

class DecodeDurations {
 public:
  /// Until a request has ended: about 100 tokens at 10 ms.
  static constexpr Nanos kFirstGuess = Seconds(1);

  void join(RequestNumber request, Instant now) { joined_.try_emplace(request, now); }
  /// O(kDurationsMax).
  void end(RequestNumber request, Instant now);
  /// Ended in another way than by its answer: says nothing about durations.
  void drop(RequestNumber request) { joined_.erase(request); }

  /// Predicted time until one of `running` requests ends, their ages being spread evenly.
  [[nodiscard]] Nanos until_one_ends(std::uint32_t running) const;
  /// The share of requests that decode for longer than `age`: above 0, and 1 before anything has ended, so that what
  /// is not known counts as staying. Laplace's rule of succession. O(log kDurationsMax).
  [[nodiscard]] double survival(Nanos age) const;

 private:
  absl::flat_hash_map<RequestNumber, Instant> joined_;
  Nanos mean_ = kFirstGuess;
  std::deque<Nanos> recent_;   // in the order of their ends
  std::vector<Nanos> sorted_;  // the same
};

}  // namespace mooncake::conductor
