// Slo: what a request's latency has to be, and how it is judged afterwards.
#pragma once

#include <span>

#include "base/time.h"

namespace mooncake::kvcache {

/// Latency objectives of one request. Defaults: the paper's (TTFT 30 s, the widest of its TBT objectives).
/// Source: FAST'25, section 5.1.
struct Slo {
  Nanos ttft = Seconds(30);  ///< arrival to first token
  Nanos tbt = Millis(300);   ///< between tokens, see request_tbt()
};

/// A request's TBT: the mean of its longest 10 % of gaps between tokens (at least one gap); 0 without gaps, as for an
/// answer of one token. O(gaps). Source: FAST'25, section 5.1.
Nanos request_tbt(std::span<const Nanos> gaps);

/// True if both objectives were met.
constexpr bool meets(const Slo& slo, Nanos ttft, Nanos tbt) { return ttft <= slo.ttft && tbt <= slo.tbt; }

}  // namespace mooncake::kvcache
