// DecodeSchedule: which requests a decode worker lets in, and when.
//
// A request passes two gates, each first come, first served:
//
//   reserve() -> [landing: room for the KVCache to arrive in] -> landed() -> [batch: a sequence and KVCache tokens]
//
// A landing is bounded by the bytes of the landing area, the batch by sequences and by KVCache tokens for the prompt
// and the longest answer, so a running request never has to be preempted. Landing while others decode keeps prefill
// workers busy; the engine's KVCache is taken only when everything has arrived.
//
// Pure: no clock, no thread, no I/O. Thread-compatible. The worker and the simulator call the same object.
// Source: docs/serving.md, workers.
#pragma once

#include <cstdint>
#include <optional>

#include "base/status.h"
#include "conductor/conductor.h"
#include "conductor/local/fifo_budget.h"

namespace mooncake::conductor {

struct DecodeLimits {
  std::uint32_t sequences_max = 1;      ///< requests in one batch
  std::uint64_t kv_tokens_max = 0;      ///< KVCache tokens over all running requests
  std::uint32_t landings_max = 1;       ///< requests that hold a landing area
  std::uint64_t landing_bytes_max = 0;  ///< bytes over all landing areas
  std::uint32_t waiting_max = 4096;     ///< at each gate; far more than any deadline lets through one worker
};

class DecodeSchedule {
 public:
  explicit DecodeSchedule(const DecodeLimits& limits);

  /// A request wants to come: `landing_bytes` for its prompt's blocks, `kv_tokens` for prompt and longest answer.
  /// @return kOutOfRange if it could never fit, kAlreadyExists, kExhausted if too many wait.
  Status reserve(RequestNumber request, std::uint64_t landing_bytes, std::uint64_t kv_tokens);
  /// The next request that may land now; it holds its landing area. Call until it returns nothing, after every
  /// reserve(), finish_landing() and release().
  std::optional<RequestNumber> next_to_land() { return landing_.grant(); }

  /// Everything of `request` has arrived. @return kNotFound if it holds no landing area, kAlreadyExists if repeated.
  Status landed(RequestNumber request);
  /// The next request that joins the batch now, holding its sequence and tokens. Call until it returns nothing, after
  /// every landed() and release().
  std::optional<RequestNumber> next_to_join() { return batch_.grant(); }
  /// The landing area of `request` was imported and is free again. @return false if it held none.
  bool finish_landing(RequestNumber request) { return landing_.release(request); }

  /// Forgets `request` wherever it is: done, cancelled or lost. @return false if it was unknown.
  bool release(RequestNumber request);

  [[nodiscard]] std::uint32_t running() const { return batch_.holders(); }
  /// Landed and waiting for room in the batch.
  [[nodiscard]] std::uint32_t queued() const { return batch_.waiting(); }
  [[nodiscard]] std::uint64_t kv_tokens_used() const { return batch_.amount(); }
  [[nodiscard]] std::uint64_t landing_bytes_used() const { return landing_.amount(); }

 private:
  FifoBudget landing_;
  FifoBudget batch_;
  absl::flat_hash_map<RequestNumber, std::uint64_t> kv_tokens_;  // of every known request
};

}  // namespace mooncake::conductor
