// Admission: whether a placed request is served or refused now, before it costs a prefill that nobody would wait for.
//
//   none    refuses only what can never be served.
//   early   also refuses when the predicted TTFT, with the margin by which predictions have been short lately, or the
//           predicted TBT breaks the request's objective, or no decode instance has room.
//
// Pure. Source: FAST'25, section 6.3 (early rejection); docs/conductor.md, overload.
#pragma once

#include <optional>
#include <string>

#include "base/time.h"
#include "conductor/conductor.h"
#include "conductor/placement.h"

namespace mooncake::conductor {

/// To refuse, and why.
struct Refusal {
  std::string reason;   ///< one sentence
  Nanos retry_after{};  ///< 0: trying again cannot help
};

/// What admission looks at: the chosen instances.
struct Placed {
  const Candidate& prefill;
  DecodeChoice decode;
  Nanos decode_drain{};  ///< predicted until some running request ends
  Nanos ttft_margin{};   ///< what predictions have been short of lately
};

/// @return nothing if the request is admitted.
std::optional<Refusal> judge(AdmissionPolicy policy, const Slo& slo, const Placed& placed);

}  // namespace mooncake::conductor
