// Sentences for people about decisions: what was chosen, and why.
#pragma once

#include <cstdint>
#include <string>

#include "conductor/conductor.h"

namespace mooncake::conductor {

struct Chosen {
  const Candidate& prefill;
  std::string_view prefill_name;
  std::string_view decode_name;
  std::size_t prefill_candidates = 0;
  std::uint32_t decode_requests = 0;  ///< there already
  std::uint32_t prompt_blocks = 0;
  bool steered = false;
};

/// "least predicted TTFT of 2: 0.153 s on prefill-0 (...), reusing 29 of 31 blocks (5 on its own node); decode on ...".
std::string explain_accept(PlacementPolicy policy, const Chosen& chosen);

/// What admission would have said, had it seen enough to be believed: goes behind the reason of an acceptance.
std::string explain_shadow(const Refusal& refusal, std::uint32_t needed);

}  // namespace mooncake::conductor
