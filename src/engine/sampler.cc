#include "engine/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "base/check.h"
#include "base/rng.h"

namespace mooncake::engine {
namespace {

struct Candidate {
  double weight;
  Token token;
};

// Heap order: the likeliest on top, the lowest id first among equals, so that the cut is the same everywhere.
bool less_likely(const Candidate& a, const Candidate& b) {
  return a.weight != b.weight ? a.weight < b.weight : a.token > b.token;
}

float logit_or_impossible(float logit) { return std::isnan(logit) ? -std::numeric_limits<float>::infinity() : logit; }

Token greedy(std::span<const float> logits) {
  std::size_t best = 0;
  for (std::size_t i = 1; i < logits.size(); ++i) {
    if (logit_or_impossible(logits[i]) > logit_or_impossible(logits[best])) best = i;
  }
  return static_cast<Token>(best);
}

// Each input is hashed before the next is mixed in, so that neighbouring seeds, choices and positions share nothing.
double draw(std::uint64_t seed, std::uint32_t choice, std::uint32_t position) {
  const std::uint64_t stream = splitmix64(splitmix64(seed) ^ choice);
  return Rng(splitmix64(stream ^ position)).uniform();
}

// Moves the smallest set of likeliest candidates that holds `share` of the weight to the front; the rest is dropped.
double keep_top(std::vector<Candidate>& candidates, double share, double total) {
  std::vector<Candidate> kept;
  double weight = 0;
  std::ranges::make_heap(candidates, less_likely);
  do {
    std::ranges::pop_heap(candidates, less_likely);
    kept.push_back(candidates.back());
    weight += candidates.back().weight;
    candidates.pop_back();
  } while (!candidates.empty() && weight < share * total);
  candidates = std::move(kept);
  return weight;
}

}  // namespace

Token sample(std::span<const float> logits, float temperature, float top_p, std::uint64_t seed, std::uint32_t choice,
             std::uint32_t position) {
  CHECK(!logits.empty());
  const Token likeliest = greedy(logits);
  const double largest = logit_or_impossible(logits[static_cast<std::size_t>(likeliest)]);
  // `!(x > 0)` also catches NaN. An infinite maximum leaves nothing to weigh against.
  if (!(temperature > 0) || !std::isfinite(largest)) return likeliest;

  std::vector<Candidate> candidates;
  candidates.reserve(logits.size());
  double total = 0;
  for (std::size_t i = 0; i < logits.size(); ++i) {
    const double weight = std::exp((static_cast<double>(logit_or_impossible(logits[i])) - largest) / temperature);
    if (weight <= 0) continue;
    candidates.push_back({weight, static_cast<Token>(i)});
    total += weight;
  }
  if (top_p < 1) total = keep_top(candidates, std::max(0.0f, top_p), total);

  double left = draw(seed, choice, position) * total;
  for (const Candidate& candidate : candidates) {
    left -= candidate.weight;
    if (left < 0) return candidate.token;
  }
  return candidates.back().token;  // rounding: the draw was within an ulp of the total
}

}  // namespace mooncake::engine
