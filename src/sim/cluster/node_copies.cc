#include "sim/cluster/node_copies.h"

#include <utility>

namespace mooncake::sim {

std::optional<NodeCopies::Sent> NodeCopies::send(const conductor::Action& action, Instant now) {
  PrefillNode& sender = nodes_[static_cast<std::uint32_t>(action.from)];
  Copy copy{.from = static_cast<std::uint32_t>(action.from),
            .to = static_cast<std::uint32_t>(action.to),
            .first_block = action.first_block,
            .blocks = {}};
  for (const Key128& key : action.keys) {
    const TraceBlock block = block_of(key);
    if (!sender.has(block)) break;
    copy.blocks.push_back(block);
  }
  if (copy.blocks.empty()) return std::nullopt;
  const auto sent =
      sender.send(copy.blocks, config_.profile.kv_bytes_per_token * kTraceBlockTokens, now, copy.first_block);
  blocks_ += copy.blocks.size();
  copies_.emplace(sent_, std::move(copy));
  return Sent{.copy = sent_++, .arrives = sent.arrives, .from_ssd = sent.from_ssd};
}

std::vector<conductor::CacheEvent> NodeCopies::arrived(std::uint32_t copy) {
  const auto node = copies_.extract(copy);
  if (node.empty()) return {};
  const Copy& arrived = node.mapped();
  return nodes_[arrived.to].use(arrived.blocks, arrived.first_block);
}

void NodeCopies::lose(std::uint32_t node) {
  absl::erase_if(copies_, [node](const auto& entry) { return entry.second.from == node || entry.second.to == node; });
}

}  // namespace mooncake::sim
