// Messages that gateway and workers both speak, one writing what the other reads: a plain struct and its translation to
// and from the wire (proto/serve.proto) for each. What only one side knows is in gateway/wire.h and worker/protocol.h.
//
// Pure functions, thread-safe.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/key128.h"
#include "base/status.h"

namespace mooncake::serve {

namespace pb {
class Sampling;
}

/// Longer times on the wire count as this: a day, beyond every deadline, and far from overflowing nanoseconds.
inline constexpr std::int64_t kWireTimeMsMax = 86'400'000;
/// Of a tenant's name, which is the salt of its blocks' keys; hashed with every block, so it stays short.
inline constexpr std::size_t kTenantNameBytesMax = 64;

/// How answers are sampled and where they end.
struct AnswerParams {
  float temperature = 0;
  float top_p = 1;
  std::uint64_t seed = 0;
  std::uint32_t choice = 0;
  std::uint32_t tokens_max = 1;
  bool ignore_end = false;
};
void fill(const AnswerParams& answer, pb::Sampling& wire);

/// What a prefill worker reports when a prompt is published and handed over.
struct PrefillReport {
  std::uint32_t cached_tokens = 0;     ///< reused from the store
  std::uint32_t published_blocks = 0;  ///< leading full blocks of the prompt that are in the store now
  std::string node{};                  ///< that the worker's puts go to
  double queue_ms = 0;
  double fetch_ms = 0;  ///< not overlapped with the queue
  double prefill_ms = 0;
  double transfer_ms = 0;  ///< last chunk computed to decode joined
  std::uint32_t kv_checksum = 0;
};

/// What a worker says of itself. kv_tokens_max and sequences_max are the engine's capacity.
struct WorkerStats {
  std::string role{};
  std::uint32_t queued = 0;
  std::uint32_t running = 0;
  double outstanding_ms = 0;
  std::uint64_t kv_tokens_used = 0;
  std::uint64_t kv_tokens_max = 0;
  double tbt_ms = 0;
  std::uint32_t sequences_max = 0;
  std::string model{};
  bool draining = false;
  std::uint32_t threads = 0;
};

std::string encode(const PrefillReport& report);
std::string encode(const WorkerStats& stats);
std::string encode_cancel(std::string_view id);
/// `role`: "prefill" or "decode".
std::string encode_change_role(std::string_view role);
std::string encode_replicate(std::span<const Key128> keys);

/// Times that are no numbers or negative come out as 0, others as kWireTimeMsMax at most. @return kCorrupt for bytes
/// that are no such message.
Result<PrefillReport> parse_prefill_report(std::string_view payload);
Result<WorkerStats> parse_worker_stats(std::string_view payload);

}  // namespace mooncake::serve
