#include "conductor/decode_outlook.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"

namespace mooncake::conductor {
namespace {

class Expectation {
 public:
  void add(const DecodeLine::Piece& piece, double probability) {
    requests_ += probability;
    kv_tokens_ += probability * static_cast<double>(piece.kv_tokens);
    prompt_tokens_ += probability * piece.prompt_tokens;
  }
  [[nodiscard]] DecodeLoad load() const {
    return {.requests = static_cast<std::uint32_t>(std::lround(requests_)),
            .kv_tokens = static_cast<std::uint64_t>(std::llround(kv_tokens_)),
            .prompt_tokens = static_cast<std::uint64_t>(std::llround(prompt_tokens_))};
  }

 private:
  double requests_ = 0;
  double kv_tokens_ = 0;
  double prompt_tokens_ = 0;
};

/// When a piece joins, or has: one that is late may come at any moment.
Instant join_of(const DecodeLine::Piece& piece, Instant now) {
  return piece.joined.value_or(std::max(piece.expected_join, now));
}

bool predicted_at(const DecodeLine::Piece& piece, const OutlookQuestion& question) {
  const Instant joins = join_of(piece, question.now);
  const Instant then = question.now + question.ttft;
  return joins <= then && then - joins < question.decode_time;
}

double survival_of(const DecodeLine::Piece& piece, const OutlookQuestion& question, const DecodeDurations& durations) {
  const Instant joins = join_of(piece, question.now);
  const Instant then = question.now + question.average_ttft;
  if (joins > then) return 0;
  const Nanos age = std::max(question.now - joins, Nanos{0});
  return durations.survival(then - joins) / durations.survival(age);
}

}  // namespace

DecodeLoad expected_load(AdmissionPolicy policy, const DecodeLine& line, const OutlookQuestion& question,
                         const DecodeDurations& durations) {
  switch (policy) {
    case AdmissionPolicy::kNone:
    case AdmissionPolicy::kBaseline:
      return line.all();
    case AdmissionPolicy::kEarly:
      return line.joined();
    case AdmissionPolicy::kPredictive: {
      DecodeLoad load;
      for (const DecodeLine::Piece& piece : line.pieces()) {
        if (predicted_at(piece, question)) load += load_of(piece);
      }
      return load;
    }
    case AdmissionPolicy::kSurvival: {
      Expectation expected;
      for (const DecodeLine::Piece& piece : line.pieces()) {
        expected.add(piece, survival_of(piece, question, durations));
      }
      return expected.load();
    }
  }
  CHECK(false);
}

}  // namespace mooncake::conductor
