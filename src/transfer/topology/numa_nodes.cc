#include "transfer/topology/numa_nodes.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <string>

#include "base/log.h"

namespace mooncake::transfer {
namespace {

constexpr std::uintptr_t kPageBytes = 4096;  // of all that is asked about: a larger page answers for its parts

/// "0" is a machine with one node; "0-1" and "0,2" are larger ones.
std::optional<int> only_node() {
  std::ifstream file("/sys/devices/system/node/has_memory");
  std::string nodes;
  if (!(file >> nodes) || nodes.size() > 4 || !std::ranges::all_of(nodes, [](char c) { return c >= '0' && c <= '9'; }))
    return std::nullopt;
  return std::stoi(nodes);
}

}  // namespace

/// move_pages() without nodes to move to.
bool NumaNodes::ask_kernel(std::span<void*> pages, std::span<int> nodes) {
  if (::syscall(SYS_move_pages, 0, pages.size(), pages.data(), nullptr, nodes.data(), 0) == 0) return true;
  log_info("transfer: which NUMA node memory is on is not known: {}", std::strerror(errno));
  return false;
}

NumaNodes::NumaNodes() : NumaNodes(ask_kernel, only_node()) {}

std::optional<int> NumaNodes::of(ConstByteSpan memory, Instant now) {
  if (only_.has_value()) return only_;
  if (!ask_ || memory.empty()) return std::nullopt;
  const std::uintptr_t area = reinterpret_cast<std::uintptr_t>(memory.data()) / kNodeAreaBytes;
  if (const auto known = areas_.find(area); known != areas_.end() && now < known->second.until) {
    return known->second.node;
  }
  if (areas_.size() >= kNodeAreasMax) areas_.clear();
  const std::optional<int> node = look(memory);
  areas_[area] = {.node = node, .until = now + kNodeKnown};
  return node;
}

std::optional<int> NumaNodes::look(ConstByteSpan memory) {
  const auto first = reinterpret_cast<std::uintptr_t>(memory.data()) / kPageBytes;
  const std::uintptr_t last = (reinterpret_cast<std::uintptr_t>(memory.data()) + memory.size() - 1) / kPageBytes;
  std::array<void*, kPagesAsked> pages{};
  std::array<int, kPagesAsked> nodes{};
  for (std::size_t i = 0; i < kPagesAsked; ++i) {
    pages[i] = reinterpret_cast<void*>((first + (last - first) * i / (kPagesAsked - 1)) * kPageBytes);
  }
  if (!ask_(pages, nodes)) {
    ask_ = nullptr;
    return std::nullopt;
  }
  const bool agree = std::ranges::all_of(nodes, [&](int node) { return node >= 0 && node == nodes[0]; });
  return agree ? std::optional(nodes[0]) : std::nullopt;
}

}  // namespace mooncake::transfer
