#include "store/core/eviction/eviction_policy.h"

#include <fmt/core.h>
#include <fmt/ranges.h>

#include <array>

#include "store/core/eviction/frequency_policy.h"
#include "store/core/eviction/recency_policy.h"
#include "store/core/eviction/s3fifo_policy.h"
#include "store/core/eviction/sieve_policy.h"

namespace mooncake::store {
namespace {

constexpr std::array<std::string_view, 6> kNames = {"lru", "fifo", "lfu", "length-aware", "sieve", "s3fifo"};

}  // namespace

std::span<const std::string_view> eviction_policy_names() { return kNames; }

Result<std::unique_ptr<EvictionPolicy>> make_eviction_policy(std::string_view name) {
  using Pointer = std::unique_ptr<EvictionPolicy>;
  if (name == "default") name = kDefaultEviction;
  if (name == "lru") return Pointer(std::make_unique<RecencyPolicy>(RecencyPolicy::Order::kLastUse));
  if (name == "fifo") return Pointer(std::make_unique<RecencyPolicy>(RecencyPolicy::Order::kArrival));
  if (name == "lfu") return Pointer(std::make_unique<FrequencyPolicy>(FrequencyPolicy::Ties::kLastUse));
  if (name == "length-aware") return Pointer(std::make_unique<FrequencyPolicy>(FrequencyPolicy::Ties::kDepth));
  if (name == "sieve") return Pointer(std::make_unique<SievePolicy>());
  if (name == "s3fifo") return Pointer(std::make_unique<S3FifoPolicy>());
  return Status(Code::kInvalidArgument,
                fmt::format("no eviction policy \"{}\"; there are default, {}", name, fmt::join(kNames, ", ")));
}

}  // namespace mooncake::store
