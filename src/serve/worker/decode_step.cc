#include "serve/worker/decode_step.h"

#include <chrono>
#include <span>

#include "base/crc32c.h"
#include "engine/sampler.h"

namespace mooncake::serve {
namespace {

void complete(engine::Engine& engine, DecodeStep::Item& item, const engine::Output& output) {
  if (item.want_logits) {
    const AnswerParams& answer = item.answer;
    item.chosen =
        engine::sample(output.logits, answer.temperature, answer.top_p, answer.seed, answer.choice, item.answer_index);
  }
  if (!item.export_block || !item.export_target) return;
  const ByteSpan target = item.export_target->bytes();
  item.exported = engine.export_block(item.sequence, *item.export_block, target);
  if (item.exported.ok()) item.export_crc32c = crc32c(target);
}

}  // namespace

void DecodeStep::run(engine::Engine& engine) {
  const auto begin = std::chrono::steady_clock::now();
  std::vector<engine::WorkItem> work;
  work.reserve(items.size());
  for (const Item& item : items) {
    work.push_back({item.sequence, item.position, std::span(&item.token, 1), item.want_logits});
  }
  std::vector<engine::Output> outputs(items.size());
  const Status stepped = engine.step(work, outputs);
  for (std::size_t i = 0; i < items.size(); ++i) {
    items[i].status = outputs[i].status;
    // An engine that fails as a whole may leave items unmarked; none of them can be trusted to have been computed.
    const bool whole_failure = !stepped.ok() && stepped.code() != Code::kCancelled;
    if (items[i].status.ok() && whole_failure) items[i].status = stepped;
    if (items[i].status.ok()) complete(engine, items[i], outputs[i]);
  }
  took = std::chrono::steady_clock::now() - begin;
}

}  // namespace mooncake::serve
