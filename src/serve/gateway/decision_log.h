// DecisionLog: the last requests of this gateway: why each went where it went, and what really happened. What
// `mooncake kv why` shows.
//
// GET /mooncake/decisions/{request id}; times in milliseconds, null where something did not happen:
//
//   {"request_id", "outcome": "running" | "ok" | "rejected" | "failed" | "cancelled", "http_status", "error",
//    "prompt_tokens", "answer_tokens", "choices", "attempts",
//    "actual": {"prefill", "decode", "cached_tokens", "published_blocks", "kv_checksum",
//               "queue_ms", "fetch_ms", "prefill_ms", "transfer_ms", "ttft_ms", "total_ms"},
//    "decisions": [{"choice", "attempt", "accepted", "reason", "prefill", "decode", "recompute", "reused_blocks",
//                   "predicted_ttft_ms", "predicted_tbt_ms", "retry_after_ms",
//                   "candidates": [{"name", "role", "chosen", "local_prefix_blocks", "reused_blocks", "fetch_from",
//                                   "queue_ms", "transfer_ms", "prefill_ms", "ttft_ms", "tbt_ms"}]}]}
//
// "actual" is of choice 0, whose last attempt counts. Thread-compatible.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "conductor/conductor.h"

namespace mooncake::serve {

/// Requests remembered: about a minute at 64 a second, and some 10 MB with 16 candidates each.
inline constexpr std::size_t kDecisionsMax = 4096;

/// A candidate under the name it had then: instances come and go.
struct CandidateRecord {
  std::string name{};
  std::string fetch_from{};  ///< node; empty: nothing to fetch
  bool chosen = false;
  conductor::Candidate cost{};
};

struct DecisionRecord {
  std::uint32_t choice = 0;
  std::uint32_t attempt = 1;
  std::string prefill{};  ///< empty when rejected
  std::string decode{};
  conductor::Decision decision{};  ///< its candidates are moved to the field below
  std::vector<CandidateRecord> candidates{};
};

struct RequestRecord {
  std::string id;
  std::string tenant;  ///< whose it is; nobody else is told of it
  std::string outcome = "running";
  std::uint32_t http_status = 0;
  std::string error;
  std::uint32_t prompt_tokens = 0;
  std::uint64_t answer_tokens = 0;
  std::uint32_t choices = 1;
  std::uint32_t attempts = 0;
  std::string prefill;
  std::string decode;
  std::uint32_t cached_tokens = 0;
  std::uint32_t published_blocks = 0;
  std::string kv_checksum;
  std::optional<double> queue_ms;
  std::optional<double> fetch_ms;
  std::optional<double> prefill_ms;
  std::optional<double> transfer_ms;
  std::optional<double> ttft_ms;
  std::optional<double> total_ms;
  std::vector<DecisionRecord> decisions;
};

class DecisionLog {
 public:
  explicit DecisionLog(std::size_t requests_max = kDecisionsMax) : requests_max_(requests_max) {}

  /// A new record, shared with the request that fills it in: it may live on after the log has forgotten it.
  std::shared_ptr<RequestRecord> open(std::string id);
  /// Null for a request that is unknown or forgotten.
  [[nodiscard]] const RequestRecord* find(std::string_view id) const;

 private:
  const std::size_t requests_max_;
  std::deque<std::shared_ptr<RequestRecord>> requests_;  // oldest first
  std::map<std::string, RequestRecord*, std::less<>> by_id_;
};

/// The JSON above.
std::string decision_body(const RequestRecord& record);

}  // namespace mooncake::serve
