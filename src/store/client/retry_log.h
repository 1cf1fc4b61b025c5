// RetryLog: which failures of something that is tried again, for ever, are worth a line in the log.
//
// A process whose master is away tries ten times a second. A line for each would rotate everything else out of the log
// within the hour; no line leaves the operator without a reason.
//
// Thread-compatible.
#pragma once

#include <cstdint>

#include "base/status.h"

namespace mooncake::store {

class RetryLog {
 public:
  /// True for the first failure of its code since the last success: at most a line a code, also where codes take turns.
  bool is_new(const Status& failure) {
    const std::uint32_t bit = 1u << static_cast<std::uint8_t>(failure.code());
    const bool first = (told_ & bit) == 0;
    told_ |= bit;
    return first;
  }
  void on_success() { told_ = 0; }

 private:
  std::uint32_t told_ = 0;  // a bit for each code; there are 15
};

}  // namespace mooncake::store
