#include "conductor/board.h"

#include <algorithm>

namespace mooncake::conductor {
namespace {

// The node, other than `own`, with the longest prefix, if that is longer than own's; else one that holds the first
// block that own lacks (several nodes together may hold more than each alone). `own` if there is none.
NodeId sender_for(NodeId own, const kvcache::PrefixIndex& index, const kvcache::PrefixMatch& match,
                  std::span<const Key128> keys) {
  const auto own_index = static_cast<std::uint32_t>(own);
  const std::uint32_t local = match.blocks(own_index);
  if (local >= match.blocks_any) return own;
  std::uint32_t best = own_index;
  for (std::uint32_t node = 0; node < match.blocks_by_node.size(); ++node) {
    if (match.blocks(node) > match.blocks(best)) best = node;
  }
  for (std::uint32_t node = 0; best == own_index && node < match.blocks_by_node.size(); ++node) {
    if (index.holds(node, keys[local])) best = node;
  }
  return NodeId{best};
}

PrefillFacts prefill_facts(const BoardSources& sources, const InstanceChange& instance, const RequestView& request,
                           const kvcache::PrefixMatch& match, Instant now) {
  PrefillFacts facts;
  facts.instance = instance.id;
  facts.local_blocks = match.blocks(static_cast<std::uint32_t>(instance.attached_node));
  facts.sender = sender_for(instance.attached_node, sources.index, match, request.block_keys);
  if (facts.sender != instance.attached_node) facts.sender_backlog = sources.bookings.sender_backlog(facts.sender, now);
  facts.queue = sources.load.prefill_queue(instance.id, now);
  facts.outstanding = sources.load.prefill_requests(instance.id);
  return facts;
}

DecodeFacts decode_facts(const BoardSources& sources, const InstanceChange& instance) {
  const DecodeLoad load = sources.load.decode(instance.id);
  return {.instance = instance.id,
          .requests = load.requests,
          .kv_tokens = load.kv_tokens,
          .prompt_tokens = load.prompt_tokens,
          .sequences_max = instance.sequences_max,
          .kv_tokens_max = instance.kv_tokens_max};
}

}  // namespace

Board gather(const BoardSources& sources, const RequestView& request, Instant now) {
  const kvcache::PrefixMatch match = sources.index.match(request.block_keys);
  Board board;
  board.prompt = {.prompt_tokens = request.prompt_tokens,
                  .block_tokens = sources.block_tokens,
                  .best_blocks = match.blocks_any,
                  .computed_tokens_min = sources.computed_tokens_min};
  sources.instances.for_each_usable(Role::kPrefill, [&](const InstanceChange& instance) {
    board.prefill.push_back(prefill_facts(sources, instance, request, match, now));
  });
  sources.instances.for_each_usable(
      Role::kDecode, [&](const InstanceChange& instance) { board.decode.push_back(decode_facts(sources, instance)); });
  return board;
}

}  // namespace mooncake::conductor
