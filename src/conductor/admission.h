// Admission: whether a placed request is served or refused now, before it costs a prefill that nobody would wait for.
//
//   none        refuses only what can never be served.
//   baseline    refuses when the predicted TTFT, with the margin by which predictions have been short lately, breaks
//               the request's objective; and a second time, when the prefill has been spent, if its decode instance is
//               full then or would break the objective for the TBT.
//   early       judges both at once, by what decode runs now.
//   predictive, survival: likewise, by what decode will be running when the prefill is over; decode_outlook.h.
//
// How much of an objective a request may use depends on its priority: trunk_reservation.h.
//
// Pure. Source: FAST'25, section 6.3, and arXiv 2407.00079, section 6 (early rejection); docs/conductor.md, overload.
#pragma once

#include <optional>
#include <string>

#include "base/time.h"
#include "conductor/conductor.h"
#include "conductor/placement.h"

namespace mooncake::conductor {

/// What admission looks at: the chosen instances.
struct Placed {
  const Candidate& prefill;
  DecodeChoice decode;   ///< under the policy's outlook
  Nanos decode_drain{};  ///< predicted until some running request ends
  Nanos ttft_margin{};   ///< what predictions have been short of lately
  Nanos tbt_margin{};    ///< likewise
  double share = 1;      ///< of both objectives that it may use
};

/// The decode half of it.
struct PlacedDecode {
  Nanos objective{};  ///< for the TBT
  DecodeChoice decode;
  Nanos margin{};
  Nanos drain{};
  double share = 1;  ///< as above
};

/// On arrival. @return nothing if the request is admitted.
std::optional<Refusal> judge(AdmissionPolicy policy, const Slo& slo, const Placed& placed);

/// The decode half alone. @return nothing if the request may join.
std::optional<Refusal> judge_decode(const PlacedDecode& placed);

}  // namespace mooncake::conductor
