#include "sim/cluster/decode_instances.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace mooncake::sim {

using conductor::RequestNumber;

void DecodeInstances::land(std::uint32_t instance, DecodeBatch::Member member, std::uint64_t kv_tokens, Instant now) {
  DecodeInstance& decode = instances_[instance];
  const RequestNumber number{member.request};
  CHECK(decode.schedule.reserve(number, 0, kv_tokens).ok());
  CHECK(decode.schedule.next_to_land() == number);
  CHECK(decode.schedule.landed(number).ok());
  decode.landed.push_back(std::move(member));
  await_step(instance, decode.batch.boundary(now));
}

std::vector<DecodeBatch::Ended> DecodeInstances::end_step(std::uint32_t instance, Instant now) {
  DecodeInstance& decode = instances_[instance];
  decode.next_step = Instant::max();
  std::vector<DecodeBatch::Ended> all = decode.batch.advance(now);
  for (const DecodeBatch::Ended& ended : all) CHECK(decode.schedule.release(RequestNumber{ended.request}));
  return all;
}

std::vector<std::uint32_t> DecodeInstances::begin_step(std::uint32_t instance) {
  DecodeInstance& decode = instances_[instance];
  std::vector<std::uint32_t> joined;
  while (const auto next = decode.schedule.next_to_join()) {
    CHECK(RequestNumber{decode.landed.front().request} == *next);
    CHECK(decode.schedule.finish_landing(*next));
    joined.push_back(decode.landed.front().request);
    decode.batch.join(std::move(decode.landed.front()));
    decode.landed.pop_front();
  }
  if (const auto end = decode.batch.next_end()) await_step(instance, *end);
  return joined;
}

std::vector<DecodeBatch::GivenUp> DecodeInstances::fail(std::uint32_t instance, Instant now) {
  DecodeInstance& decode = instances_[instance];
  decode.next_step = Instant::max();
  std::vector<DecodeBatch::GivenUp> all = decode.batch.give_up(now);
  for (DecodeBatch::Member& member : decode.landed) {
    all.push_back({.request = member.request,
                   .steps = 0,
                   .previous_token = member.previous_token,
                   .gaps = std::move(member.gaps)});
  }
  decode.landed.clear();
  for (const DecodeBatch::GivenUp& one : all) CHECK(decode.schedule.release(RequestNumber{one.request}));
  return all;
}

bool DecodeInstances::idle() const {
  return std::ranges::all_of(instances_, [](const DecodeInstance& decode) {
    return decode.batch.size() == 0 && decode.landed.empty() && decode.schedule.running() == 0 &&
           decode.schedule.queued() == 0 && decode.schedule.kv_tokens_used() == 0;
  });
}

void DecodeInstances::await_step(std::uint32_t instance, Instant at) {
  if (at >= instances_[instance].next_step) return;
  instances_[instance].next_step = at;
  events_.push({at, EventKind::kDecodeStep, instance});
}

}  // namespace mooncake::sim
