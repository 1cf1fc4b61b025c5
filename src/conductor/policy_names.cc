#include <array>
#include <string>
#include <utility>

#include "base/check.h"
#include "conductor/conductor.h"

namespace mooncake::conductor {
namespace {

constexpr std::array kPlacements = {
    std::pair{PlacementPolicy::kCostMin, std::string_view("cost-min")},
    std::pair{PlacementPolicy::kAlgorithm1, std::string_view("algorithm1")},
    std::pair{PlacementPolicy::kRandom, std::string_view("random")},
    std::pair{PlacementPolicy::kRoundRobin, std::string_view("round-robin")},
    std::pair{PlacementPolicy::kLeastOutstanding, std::string_view("least-outstanding")},
    std::pair{PlacementPolicy::kLeastTime, std::string_view("least-time")},
    std::pair{PlacementPolicy::kLocal, std::string_view("local")},
};
constexpr std::array kAdmissions = {
    std::pair{AdmissionPolicy::kNone, std::string_view("none")},
    std::pair{AdmissionPolicy::kBaseline, std::string_view("baseline")},
    std::pair{AdmissionPolicy::kEarly, std::string_view("early")},
    std::pair{AdmissionPolicy::kPredictive, std::string_view("predictive")},
    std::pair{AdmissionPolicy::kSurvival, std::string_view("survival")},
};
constexpr std::array kPriorities = {
    std::pair{Priority::kLow, std::string_view("low")},
    std::pair{Priority::kNormal, std::string_view("normal")},
    std::pair{Priority::kHigh, std::string_view("high")},
};
constexpr std::array kRefusals = {
    std::pair{RefusalKind::kNoInstance, std::string_view("no instance is up")},
    std::pair{RefusalKind::kInFlightLimit, std::string_view("limit of requests in flight")},
    std::pair{RefusalKind::kNeverFits, std::string_view("can never be served")},
    std::pair{RefusalKind::kTtftObjective, std::string_view("TTFT objective")},
    std::pair{RefusalKind::kTbtObjective, std::string_view("TBT objective")},
    std::pair{RefusalKind::kDecodeFull, std::string_view("no room for decode")},
};
static_assert(kRefusals.size() == kRefusalKinds);

template <typename Names>
auto parse(const Names& names, std::string_view what, std::string_view text)
    -> Result<typename Names::value_type::first_type> {
  std::string choices;
  for (const auto& [policy, name] : names) {
    if (name == text) return policy;
    choices.append(choices.empty() ? "" : ", ").append(name);
  }
  return Status(Code::kInvalidArgument,
                "unknown " + std::string(what) + " \"" + std::string(text) + "\"; choose one of " + choices);
}

template <typename Names, typename Policy>
std::string_view name_of(const Names& names, Policy policy) {
  for (const auto& [known, name] : names) {
    if (known == policy) return name;
  }
  CHECK(false);
}

}  // namespace

Result<PlacementPolicy> parse_placement(std::string_view name) { return parse(kPlacements, "placement", name); }
Result<AdmissionPolicy> parse_admission(std::string_view name) { return parse(kAdmissions, "admission", name); }
Result<Priority> parse_priority(std::string_view name) { return parse(kPriorities, "priority", name); }
std::string_view placement_name(PlacementPolicy policy) { return name_of(kPlacements, policy); }
std::string_view admission_name(AdmissionPolicy policy) { return name_of(kAdmissions, policy); }
std::string_view priority_name(Priority priority) { return name_of(kPriorities, priority); }
std::string_view refusal_name(RefusalKind kind) { return name_of(kRefusals, kind); }

}  // namespace mooncake::conductor
