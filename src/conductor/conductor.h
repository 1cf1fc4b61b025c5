// Conductor: decides, for every request, which prefill instance, which decode instance, how much prefix to reuse, or to
// refuse now. A library without threads, sockets or clocks: the gateway runs it live, the simulator in virtual time.
//
// It knows instances (what exists and where their cache lives), their load (bookings it made itself, corrected by what
// the workers report) and which node holds which block. Costs come from a CostModel that is corrected by what really
// happened. No policy reads a request's true output length. All ties break by lowest instance id.
//
// Thread-compatible: one owner. Instants must not decrease.
// Source: FAST'25 section 6 and Algorithm 1; docs/conductor.md.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/key128.h"
#include "base/status.h"
#include "base/time.h"
#include "conductor/priority.h"
#include "conductor/tenant.h"
#include "kvcache/chunk_plan.h"
#include "kvcache/cost_model.h"
#include "kvcache/slo.h"

namespace mooncake::conductor {

/// An instance's id: dense, given by the owner, never reused while requests refer to it.
enum class InstanceId : std::uint32_t {};
/// A cache location (store node).
enum class NodeId : std::uint32_t {};
/// The owner's number for a request, unique while it lives.
enum class RequestNumber : std::uint64_t {};

/// Where a node has a block: of several places the fastest.
enum class Tier : std::uint8_t { kMemory, kSsd };
enum class Role : std::uint8_t { kPrefill, kDecode };
enum class PlacementPolicy : std::uint8_t {
  kCostMin,
  kAlgorithm1,
  kRandom,
  kRoundRobin,
  kLeastOutstanding,
  kLeastTime,
  kLocal,
};
enum class AdmissionPolicy : std::uint8_t { kNone, kBaseline, kEarly, kPredictive, kSurvival };

/// Names as on the command line: "cost-min", "algorithm1", "random", "round-robin", "least-outstanding",
/// "least-time", "local"; "none", "baseline", "early", "predictive", "survival".
/// @return kInvalidArgument, naming the choices.
Result<PlacementPolicy> parse_placement(std::string_view name);
Result<AdmissionPolicy> parse_admission(std::string_view name);
std::string_view placement_name(PlacementPolicy policy);
std::string_view admission_name(AdmissionPolicy policy);

using kvcache::Slo;

/// For a profile that was not measured where it is used: after so many prefills an instance's correction has taken up
/// 1 - 0.8^10 = 89 % of a steady error (kvcache::kCorrectionWeight).
inline constexpr std::uint32_t kShadowPrefills = 10;

/// Short against what the Conductor reacts to with actions: half minutes and minutes.
inline constexpr Nanos kTickPeriod = Seconds(1);
/// Blocks of one copy between nodes: so that it is over in a moment, and fits a worker's memory.
inline constexpr std::uint32_t kCopyBlocksMax = 32;

struct ConductorConfig {
  PlacementPolicy placement = PlacementPolicy::kCostMin;
  AdmissionPolicy admission = AdmissionPolicy::kNone;
  Slo slo{};
  double balancing_threshold = 1.3;  ///< algorithm1: best prefix / own prefix above which the transfer is taken
  std::uint32_t block_tokens = 64;
  std::uint32_t computed_tokens_min = kvcache::kChunkTokensMin;  ///< of a prompt, however much of it is cached
  Nanos decode_time = Seconds(10);  ///< predictive: t_d, how long every request is taken to decode
  /// Until so many prefills of an instance have been measured, admission accepts what it would refuse there, and says
  /// so in the reason.
  std::uint32_t shadow_prefills = 0;
  std::uint64_t seed = 0;  ///< for kRandom
  bool elastic = false;    ///< instances change their roles when one pool is busier than the other
  bool replicate = false;  ///< prefixes that are used often are copied to more nodes
};

struct InstanceChange {
  enum class Kind : std::uint8_t { kUp, kDraining, kDown };
  Kind kind = Kind::kUp;
  InstanceId id{};
  Role role = Role::kPrefill;
  std::string name{};
  NodeId attached_node{};
  std::uint32_t sequences_max = 1;  ///< decode: requests in one batch
  std::uint64_t kv_tokens_max = 0;  ///< decode: KVCache tokens
};

/// What a worker reports of itself.
struct InstanceStats {
  InstanceId id{};
  Nanos outstanding{};  ///< prefill: predicted work queued and running
  std::uint32_t running = 0;
  std::uint32_t queued = 0;
  std::uint64_t kv_tokens_used = 0;
  Nanos tbt{};  ///< decode: recent step time; 0 if idle
};

struct CacheEvent {
  enum class Kind : std::uint8_t { kStored, kRemoved, kCleared };
  Kind kind = Kind::kStored;
  NodeId node{};
  Tier tier = Tier::kMemory;   ///< kStored: where they are now; the last event about a block counts
  std::vector<Key128> keys{};  ///< empty for kCleared: everything on that node
};

/// A request as far as policies may see it.
struct RequestView {
  RequestNumber number{};
  std::uint32_t prompt_tokens = 0;
  std::span<const Key128> block_keys{};       ///< of the prompt's full blocks
  std::uint32_t answer_tokens_max = 0;        ///< what the client asked for at most; not the true length
  std::optional<InstanceId> place_prefill{};  ///< steered by the client (benchmarks)
  Slo slo{};
  Priority priority = Priority::kNormal;
  Tenant tenant{};
};

/// What a candidate would cost, kept with the decision so that it can be explained.
struct Candidate {
  InstanceId instance{};
  Role role = Role::kPrefill;
  std::uint32_t local_prefix_blocks = 0;
  std::uint32_t reused_blocks = 0;       ///< what it would reuse under the policy
  NodeId fetch_from{};                   ///< meaningful if reused_blocks > local_prefix_blocks
  std::uint32_t ssd_blocks = 0;          ///< of the own node's blocks, those that are read from its SSDs
  std::uint32_t fetched_ssd_blocks = 0;  ///< of the fetched ones, those that the sender reads from its own
  Nanos queue{};                         ///< until its turn comes
  Nanos transfer{};                      ///< until what is fetched and what is read from SSDs is there
  Nanos prefill{};
  Nanos ttft{};         ///< sum of the three
  Nanos outstanding{};  ///< all work there, also what other tenants do after it
  Nanos tbt{};          ///< decode candidates
};

/// What a request is refused for: the reason without its figures, so that refusals can be counted.
enum class RefusalKind : std::uint8_t {
  kNoInstance,     ///< none of a role is up, or not the one that the client asked for
  kInFlightLimit,  ///< the Conductor follows as many requests as it can
  kNeverFits,      ///< needs more KVCache than any decode instance has
  kTtftObjective,  ///< would break the objective for the TTFT
  kTbtObjective,   ///< would break the objective for the TBT
  kDecodeFull,     ///< no decode instance has room now
};
inline constexpr std::size_t kRefusalKinds = 6;

/// For people: "no instance is up", "limit of requests in flight", "can never be served", "TTFT objective",
/// "TBT objective", "no room for decode".
std::string_view refusal_name(RefusalKind kind);

/// To refuse, and why.
struct Refusal {
  RefusalKind kind = RefusalKind::kNoInstance;
  std::string reason;   ///< one sentence
  Nanos retry_after{};  ///< 0: trying again cannot help
};

enum class Verdict : std::uint8_t { kAccept, kReject };

struct Decision {
  Verdict verdict = Verdict::kReject;
  InstanceId prefill{};
  InstanceId decode{};
  bool recompute = false;                           ///< fetch nothing, although something could be
  std::optional<std::uint32_t> reuse_blocks_max{};  ///< set if the policy reuses less than the cache is known to hold
  std::uint32_t reused_blocks = 0;
  Nanos predicted_ttft{};
  Nanos predicted_tbt{};
  std::string reason;                              ///< one sentence for a person, always set
  RefusalKind refusal = RefusalKind::kNoInstance;  ///< with kReject
  Nanos retry_after{};                             ///< with kReject: when the predicted load has drained to the SLO
  std::vector<Candidate> candidates;
};

/// What happened to an accepted request.
enum class Phase : std::uint8_t { kPrefillStart, kPrefillEnd, kDecodeJoin, kDecodeEnd, kAbort };

/// What a prefill really took; for calibration.
struct PrefillActual {
  std::uint32_t prompt_tokens = 0;
  std::uint32_t reused_tokens = 0;
  Nanos prefill{};
};

/// What the cluster should do without being asked by a request.
struct Action {
  enum class Kind : std::uint8_t {
    kChangeRole,  ///< `instance` finishes what it has and takes on `role`; the owner reports it draining, down, and up
    kReplicate,   ///< `keys` are copied from one node to another; the owner reports what is stored
  };
  Kind kind = Kind::kChangeRole;
  InstanceId instance{};       ///< kChangeRole
  Role role = Role::kPrefill;  ///< kChangeRole: the new one
  NodeId from{};               ///< kReplicate: holds `keys`, and has the time to send them; others may hold them, too
  NodeId to{};
  std::vector<Key128> keys{};     ///< kReplicate: consecutive blocks of a prefix, kCopyBlocksMax at most
  std::uint32_t first_block = 0;  ///< kReplicate: the place of the first of them in it
};

class PrefillChooser;

class Conductor {
 public:
  static std::unique_ptr<Conductor> create(ConductorConfig config, std::unique_ptr<kvcache::CostModel> cost);
  /// With a choice of the prefill instance of the caller's own (placement.h) instead of the configured policy's, which
  /// still says how much each candidate would reuse.
  static std::unique_ptr<Conductor> create(ConductorConfig config, std::unique_ptr<kvcache::CostModel> cost,
                                           std::unique_ptr<PrefillChooser> chooser);
  virtual ~Conductor() = default;

  /// Decides, and books the predicted work on the chosen instances until on_phase releases it.
  virtual Decision on_request(const RequestView& request, Instant now) = 0;
  /// kPrefillEnd releases the prefill booking; kDecodeEnd and kAbort release everything. Unknown numbers are ignored.
  virtual void on_phase(RequestNumber request, Phase phase, Instant now) = 0;
  /// Whether a request whose prefill is over may decode; asked after its kPrefillEnd. Only the baseline admission ever
  /// refuses here: the prefill was for nothing then, and kAbort has to follow. Unknown numbers may.
  [[nodiscard]] virtual std::optional<Refusal> before_decode(RequestNumber request, Instant now) = 0;
  /// Corrects the cost model for that instance.
  virtual void on_prefill_actual(InstanceId instance, const PrefillActual& actual) = 0;
  /// The TBT that a request was judged by (kvcache::request_tbt), before its kDecodeEnd; not for answers without gaps.
  virtual void on_tbt_actual(RequestNumber request, Nanos tbt, Instant now) = 0;
  virtual void on_cache(std::span<const CacheEvent> events, Instant now) = 0;
  virtual void on_stats(const InstanceStats& stats, Instant now) = 0;
  /// kDown also releases every booking on that instance.
  virtual void on_instance(const InstanceChange& change, Instant now) = 0;
  /// To be called every kTickPeriod by the one owner who carries out what is appended to `out`. Nothing is appended
  /// unless the configuration is elastic or replicates.
  virtual void on_tick(Instant now, std::vector<Action>& out) = 0;
  /// Load of a pool now: predicted TTFT or TBT of an average request / its SLO.
  [[nodiscard]] virtual double pool_load(Role role, Instant now) const = 0;
};

}  // namespace mooncake::conductor
