// NumaNodes: on which NUMA node memory of this process lies, as the kernel says now.
//
// Pages get their node when they are touched first, and the kernel may move them later, so an answer is for the pages
// that were looked at, and for a second. It is remembered for the 32 MiB of address space around them: slices of one
// pool ask the kernel (about 1 us) once a second, not once each. That is good enough for what only prefers a path.
//
// Thread-compatible. The owner passes `now`, which must not decrease.
#pragma once

#include <absl/container/flat_hash_map.h>

#include <cstddef>
#include <functional>
#include <optional>
#include <span>

#include "base/bytes.h"
#include "base/time.h"

namespace mooncake::transfer {

inline constexpr std::size_t kNodeAreaBytes = 32u << 20;
inline constexpr Nanos kNodeKnown = Seconds(1);
/// Areas that are remembered: 128 GiB of memory in use within a second. Beyond that all are forgotten.
inline constexpr std::size_t kNodeAreasMax = 4096;
/// Pages of one piece of memory that are looked at.
inline constexpr std::size_t kPagesAsked = 4;

class NumaNodes {
 public:
  /// Sets the node of each page, or a negative number if it has none. @return false if the kernel does not say.
  using Ask = std::function<bool(std::span<void*> pages, std::span<int> nodes)>;

  /// What the kernel says, without touching a page. @return false where it does not say: logged.
  static bool ask_kernel(std::span<void*> pages, std::span<int> nodes);

  /// Asks the kernel; where it has only one node with memory, never.
  NumaNodes();
  /// For tests: `only` is the one node there is, if so.
  NumaNodes(Ask ask, std::optional<int> only) : ask_(std::move(ask)), only_(only) {}

  /// The node of all pages of `memory` that were looked at; nothing if they are on several, are not there yet, or the
  /// kernel does not say (a container without CAP_SYS_NICE: then it is not asked again).
  std::optional<int> of(ConstByteSpan memory, Instant now);

 private:
  struct Answer {
    std::optional<int> node;
    Instant until{};
  };
  std::optional<int> look(ConstByteSpan memory);

  Ask ask_;  // empty: not asked any more
  std::optional<int> only_;
  absl::flat_hash_map<std::uintptr_t, Answer> areas_;  // by address / kNodeAreaBytes
};

}  // namespace mooncake::transfer
