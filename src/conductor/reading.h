// Reading: KVCache that a node sends or reads from its SSDs before a prefill can begin. Pure.
#pragma once

#include <absl/container/inlined_vector.h>

#include <cstdint>

#include "base/time.h"
#include "conductor/conductor.h"
#include "kvcache/cost_model.h"

namespace mooncake::conductor {

/// A way on which one thing goes after the other: a node's link to the others, and its SSDs.
enum class Outlet : std::uint8_t { kLink, kSsd };

/// Work for one of them.
struct Reading {
  NodeId node{};
  Outlet outlet = Outlet::kLink;
  Nanos work{};  ///< predicted, without what is before it
};
using Readings = absl::InlinedVector<Reading, 3>;

/// What `candidate`, whose own node is `node`, makes nodes do: the sender's two ways and the own node's SSDs, each once
/// at most.
Readings readings_of(const Candidate& candidate, NodeId node, std::uint32_t block_tokens,
                     const kvcache::CostModel& cost);

}  // namespace mooncake::conductor
