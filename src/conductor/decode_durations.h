// DecodeDurations: how long requests have been decoding lately, to predict when a place becomes free. It looks at what
// is over, never at the length of an answer to come.
//
// Pure: time is passed in. Thread-compatible.
#pragma once

#include <absl/container/flat_hash_map.h>

#include "base/time.h"
#include "conductor/conductor.h"

namespace mooncake::conductor {

class DecodeDurations {
 public:
  /// Until a request has ended: about 100 tokens at 10 ms.
  static constexpr Nanos kFirstGuess = Seconds(1);

  void join(RequestNumber request, Instant now) { joined_.try_emplace(request, now); }
  void end(RequestNumber request, Instant now);
  /// Ended in another way than by its answer: says nothing about durations.
  void drop(RequestNumber request) { joined_.erase(request); }

  /// Predicted time until one of `running` requests ends, their ages being spread evenly.
  [[nodiscard]] Nanos until_one_ends(std::uint32_t running) const;

 private:
  absl::flat_hash_map<RequestNumber, Instant> joined_;
  Nanos mean_ = kFirstGuess;
};

}  // namespace mooncake::conductor
