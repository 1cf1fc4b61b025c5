#include "serve/worker/replicate_blocks.h"

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "proto/serve.pb.h"
#include "serve/worker/prefix_fetch.h"

namespace mooncake::serve {
namespace {

std::string encode_replicated(std::uint32_t blocks) {
  pb::ReplicateReply reply;
  reply.set_blocks(blocks);
  return reply.SerializeAsString();
}

using CopiesPut = absl::AnyInvocable<void(std::uint32_t stored, const std::vector<Status>& outcomes)>;

void put_copies(const WorkerContext& context, std::vector<store::PutItem> items, Arena::LeasePointer lease,
                CopiesPut done) {
  context.store->replicate(
      std::move(items), context.now() + kPublishTimeout,
      [alive = std::weak_ptr(context.arena), copied = &context.metrics.blocks_replicated, lease = std::move(lease),
       done = std::move(done)](const std::vector<Status>& outcomes) mutable {
        if (alive.expired()) return;
        const auto stored = std::ranges::count_if(outcomes, &Status::ok);
        copied->Increment(static_cast<double>(stored));
        for (const Status& outcome : outcomes) {
          if (!outcome.ok()) log_debug("block not copied: {}", outcome.to_string());
        }
        done(static_cast<std::uint32_t>(stored), outcomes);
      });
}

}  // namespace

void keep_fetched_blocks(const WorkerContext& context, std::span<const store::ObjectKey> keys,
                         const FetchedPrefix& prefix, const Arena::LeasePointer& lease) {
  if (context.store == nullptr || context.config.attached_node.empty()) return;
  std::vector<store::PutItem> items;
  for (std::uint32_t i = 0; i < prefix.size(); ++i) {
    if (prefix[i].to_keep) items.push_back({keys[i], context.block(*lease, i), prefix[i].crc32c});
  }
  if (items.empty()) return;
  put_copies(context, std::move(items), lease, [](std::uint32_t, const std::vector<Status>&) {});
}

void replicate_blocks(const WorkerContext& context, std::vector<store::ObjectKey> keys, Arena::LeasePointer memory,
                      transfer::Responder responder) {
  auto asked = keys;
  auto fetched = [&context, alive = std::weak_ptr(context.arena), keys = std::move(keys), memory,
                  responder = std::move(responder)](const FetchedPrefix& prefix) mutable {
    if (alive.expired()) return;
    if (prefix.empty()) return responder.reply(encode_replicated(0));
    std::vector<store::PutItem> items;
    for (std::uint32_t i = 0; i < prefix.size(); ++i) {
      items.push_back({keys[i], context.block(*memory, i), prefix[i].crc32c});
    }
    put_copies(context, std::move(items), std::move(memory),
               [responder = std::move(responder)](std::uint32_t stored, const std::vector<Status>& outcomes) mutable {
                 if (stored == 0) return responder.reply(outcomes.front().annotate("copying blocks"));
                 responder.reply(encode_replicated(stored));
               });
  };
  fetch_prefix(context, std::move(asked), memory, 0, context.now() + kFetchTimeout, std::move(fetched));
}

}  // namespace mooncake::serve
