// DecodeOutlook: what a decode instance will be running when a request that is in prefill now gets there. Admission
// policies differ in how they look ahead:
//
//   early       not at all: who runs there at this moment. Prompts take seconds, so by the time it joins, others that
//               were promised earlier have joined too, and some have left: admission swings around the objective.
//   predictive  promised requests whose prefill is over by then have joined; everybody decodes for the same time t_d
//   and
//               has left when it is over.
//   survival    each is there with the probability that a request which has been decoding for so long goes on for so
//               much longer, learnt from those that have ended. It looks ahead by the TTFT of an average request, not
//               by this one's own: a long prompt would see the present batch gone and not the short prompts that come
//               later and take its place earlier, and would be let in at their expense.
//
// No policy knows how long an answer will be. Pure. Source: arXiv 2407.00079, section 6.3 and 6.4, for the first two.
#pragma once

#include "base/time.h"
#include "conductor/conductor.h"
#include "conductor/decode_durations.h"
#include "conductor/decode_line.h"

namespace mooncake::conductor {

struct OutlookQuestion {
  Instant now{};
  Nanos ttft{};          ///< predicted, of the request
  Nanos average_ttft{};  ///< predicted, of the requests that were accepted lately
  Nanos decode_time{};   ///< predictive: t_d
};

/// The load on `line` when the request would join, under `policy`. none and baseline look ahead at nobody: what was
/// promised counts in full, as it does for placement. O(size of the line).
DecodeLoad expected_load(AdmissionPolicy policy, const DecodeLine& line, const OutlookQuestion& question,
                         const DecodeDurations& durations);

}  // namespace mooncake::conductor
