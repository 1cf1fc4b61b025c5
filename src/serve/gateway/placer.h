// Placer: asks the Conductor where an attempt runs, and writes down its answer for people.
//
// Thread-compatible: belongs to the loop.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>

#include "base/time.h"
#include "conductor/conductor.h"
#include "serve/gateway/decision_log.h"
#include "serve/gateway/instance_table.h"
#include "serve/gateway/prepare.h"
#include "serve/openai/api_error.h"

namespace mooncake::serve {

struct PlaceQuestion {
  const PreparedRequest* prepared = nullptr;
  std::string_view place_prefill;  ///< name that the client steers to; empty: none
  std::uint32_t choice = 0;
  std::uint32_t attempt = 1;
  std::uint32_t emitted_tokens = 0;

  /// Later attempts, and the choices that wait for the first, belong to a request that was admitted.
  [[nodiscard]] bool admitted() const { return choice > 0 || attempt > 1; }
};

/// Where an attempt runs. Its booking is released by conductor.on_phase(number, ...).
struct Placed {
  conductor::RequestNumber number{};
  conductor::InstanceId prefill{};
  conductor::InstanceId decode{};
  std::string prefill_name;
  std::string decode_name;
  std::string prefill_endpoint;
  std::string decode_endpoint;
  std::optional<std::uint32_t> reuse_blocks_max{};  ///< as in conductor::Decision
  Nanos predicted_ttft{};
  double expected_ms = 0;
  double predicted_ms = 0;
};
/// No instance of some role is up: worth waiting for, or not.
struct NobodyUp {
  std::string what;  ///< "no decode worker is up"
};
using PlaceOutcome = std::variant<Placed, NobodyUp, openai::ApiError>;

/// What the client is told: 503 with Retry-After, or 400 when trying again cannot help.
openai::ApiError refused(const conductor::Refusal& refusal);

class Placer {
 public:
  /// Both must outlive it.
  Placer(conductor::ConductorConfig config, conductor::Conductor& conductor, InstanceTable& instances);

  /// Decides, books, and appends to `record`.
  PlaceOutcome place(const PlaceQuestion& question, RequestRecord& record, Instant now);

 private:
  [[nodiscard]] std::optional<openai::ApiError> steer(const PlaceQuestion& question,
                                                      std::optional<conductor::InstanceId>& out) const;
  void write_down(const PlaceQuestion& question, conductor::Decision decision, RequestRecord& record) const;
  [[nodiscard]] Placed placed(const conductor::Decision& decision, conductor::RequestNumber number) const;

  const conductor::ConductorConfig config_;
  conductor::Conductor& conductor_;
  InstanceTable& instances_;
  std::uint64_t last_number_ = 0;
};

}  // namespace mooncake::serve
