// What identifies the running kernel, to find out whether a peer shares it.
#pragma once

#include <array>
#include <cstddef>

namespace mooncake::transfer {

/// The kernel's boot id; equal exactly for processes that run on one kernel since one boot. All zero if it is not
/// known: then no peer is taken for a neighbour.
std::array<std::byte, 16> read_boot_id();

}  // namespace mooncake::transfer
