#include "conductor/board.h"

#include <algorithm>

namespace mooncake::conductor {
namespace {

/// The nodes with the longest and the second longest prefix; of equal ones those with less of it on SSDs only, then
/// those with the lowest ids.
struct Leaders {
  std::uint32_t first = 0;
  std::uint32_t second = 0;
};

Leaders leaders_of(const kvcache::PrefixMatch& match, const kvcache::PrefixIndex& on_ssd,
                   std::span<const Key128> keys) {
  const auto leads = [&](std::uint32_t node, std::uint32_t other) {
    const std::uint32_t blocks = match.blocks(node);
    if (blocks != match.blocks(other)) return blocks > match.blocks(other);
    return blocks > 0 && on_ssd.count(node, keys.first(blocks)) < on_ssd.count(other, keys.first(blocks));
  };
  Leaders leaders;
  for (std::uint32_t node = 1; node < match.blocks_by_node.size(); ++node) {
    if (leads(node, leaders.first)) {
      leaders = {.first = node, .second = leaders.first};
    } else if (leaders.second == leaders.first || leads(node, leaders.second)) {
      leaders.second = node;
    }
  }
  return leaders;
}

/// What all instances' facts of one request are made from.
struct Lookup {
  const RequestView& request;
  const kvcache::PrefixMatch match;
  const Leaders leaders;
};

// The node, other than `own`, with the longest prefix, if that is longer than own's; else one that holds the first
// block that own lacks (several nodes together may hold more than each alone). `own` if there is none.
NodeId sender_for(NodeId own, const kvcache::PrefixIndex& index, const Lookup& lookup) {
  const auto own_index = static_cast<std::uint32_t>(own);
  const std::uint32_t local = lookup.match.blocks(own_index);
  if (local >= lookup.match.blocks_any) return own;
  const std::uint32_t best = lookup.leaders.first == own_index ? lookup.leaders.second : lookup.leaders.first;
  if (lookup.match.blocks(best) > local) return NodeId{best};
  for (std::uint32_t node = 0; node < lookup.match.blocks_by_node.size(); ++node) {
    if (index.holds(node, lookup.request.block_keys[local])) return NodeId{node};
  }
  return own;
}

PrefillFacts prefill_facts(const BoardSources& sources, const InstanceChange& instance, const Lookup& lookup,
                           Instant now) {
  const auto backlog = [&](NodeId node, Outlet outlet) { return sources.bookings.backlog(node, outlet, now); };
  PrefillFacts facts;
  facts.instance = instance.id;
  facts.local_blocks = lookup.match.blocks(static_cast<std::uint32_t>(instance.attached_node));
  facts.sender = sender_for(instance.attached_node, sources.index, lookup);
  facts.local_ssd_blocks = sources.on_ssd.count(static_cast<std::uint32_t>(instance.attached_node),
                                                lookup.request.block_keys.first(facts.local_blocks));
  if (facts.local_ssd_blocks > 0) facts.ssd_backlog = backlog(instance.attached_node, Outlet::kSsd);
  if (facts.sender != instance.attached_node) {
    const auto rest = lookup.request.block_keys.first(lookup.match.blocks_any).subspan(facts.local_blocks);
    facts.sender_backlog = backlog(facts.sender, Outlet::kLink);
    facts.sender_ssd_blocks = sources.on_ssd.count(static_cast<std::uint32_t>(facts.sender), rest);
    if (facts.sender_ssd_blocks > 0) facts.sender_ssd_backlog = backlog(facts.sender, Outlet::kSsd);
  }
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
  kvcache::PrefixMatch match = sources.index.match(request.block_keys);
  const Leaders leaders = leaders_of(match, sources.on_ssd, request.block_keys);
  const Lookup lookup{.request = request, .match = std::move(match), .leaders = leaders};
  Board board;
  board.prompt = {.prompt_tokens = request.prompt_tokens,
                  .block_tokens = sources.block_tokens,
                  .best_blocks = lookup.match.blocks_any,
                  .computed_tokens_min = sources.computed_tokens_min};
  sources.instances.for_each_usable(Role::kPrefill, [&](const InstanceChange& instance) {
    board.prefill.push_back(prefill_facts(sources, instance, lookup, now));
  });
  sources.instances.for_each_usable(
      Role::kDecode, [&](const InstanceChange& instance) { board.decode.push_back(decode_facts(sources, instance)); });
  return board;
}

}  // namespace mooncake::conductor
