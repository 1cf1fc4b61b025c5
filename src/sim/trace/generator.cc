#include "sim/trace/generator.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <queue>

#include "base/rng.h"

namespace mooncake::sim {
namespace {

// Published (FAST'25): mean input, mean output, share of the cache, requests an hour.
constexpr std::array kShapes = {
    // 12,035, 343, 40 %, 12,031.
    WorkloadShape{.name = "conversation",
                  .requests_per_s = 3.44,
                  .shared_prompts = 1,
                  .shared_tokens = 512,
                  .opening_tokens = 9'200,
                  .opening_sigma = 1.2,
                  .turns = 1.785,
                  .turn_tokens = 3'290,
                  .turn_sigma = 1.2,
                  .turn_gap_s = 120,
                  .answer_tokens = 345,
                  .answer_sigma = 0.8},
    // 8,596, 182, 59 %, 23,608.
    WorkloadShape{.name = "toolagent",
                  .requests_per_s = 6.58,
                  .shared_prompts = 60,
                  .zipf = 1.2,
                  .shared_tokens = 5'064,
                  .shared_sigma = 0.6,
                  .opening_tokens = 3'632,
                  .opening_sigma = 1.3,
                  .turns = 1.3,
                  .turn_tokens = 1'210,
                  .turn_sigma = 1,
                  .turn_gap_s = 20,
                  .answer_tokens = 182.5,
                  .answer_sigma = 1},
    // 15,325, 149, 66 %, 3,993; Poisson.
    WorkloadShape{.name = "synthetic",
                  .requests_per_s = 1.125,
                  .shared_prompts = 400,
                  .zipf = 0.6,
                  .shared_tokens = 7'640,
                  .shared_sigma = 0.9,
                  .opening_tokens = 5'970,
                  .opening_sigma = 1,
                  .turns = 2,
                  .turn_tokens = 1'990,
                  .turn_sigma = 1,
                  .turn_gap_s = 60,
                  .answer_tokens = 148.5,
                  .answer_sigma = 0.8},
};

// Box and Muller's.
double normal(Rng& rng) {
  const double radius = std::sqrt(-2 * std::log(1 - rng.uniform()));
  return radius * std::cos(2 * std::numbers::pi * rng.uniform());
}

double exponential(Rng& rng, double mean) { return -std::log(1 - rng.uniform()) * mean; }

/// Log-normal with that mean, at least 1.
std::uint32_t tokens(Rng& rng, double mean, double sigma) {
  if (mean <= 0) return 0;
  const double value = std::exp(std::log(mean) - sigma * sigma / 2 + sigma * normal(rng));
  return static_cast<std::uint32_t>(std::clamp(value, 1.0, double{kGeneratedTokensMax}));
}

/// Blocks that begin the prompt of a session, as long as they are full.
struct Opening {
  std::uint32_t tokens = 0;
  std::vector<TraceBlock> blocks;
};

struct Session {
  double at_s = 0;  // of its next turn
  std::uint64_t number = 0;
  std::uint32_t input_tokens = 0;
  std::vector<TraceBlock> full_blocks;  // what the next turn can share

  /// True if it comes after `other`.
  [[nodiscard]] bool operator>(const Session& other) const {
    return std::pair(at_s, number) > std::pair(other.at_s, other.number);
  }
};

class Generator {
 public:
  Generator(const WorkloadShape& shape, std::uint64_t seed) : shape_(shape), rng_(seed) {
    double sum = 0;
    for (std::uint32_t i = 0; i < shape.shared_prompts; ++i) {
      Opening opening{.tokens = tokens(rng_, shape.shared_tokens, shape.shared_sigma), .blocks = {}};
      extend(opening.blocks, opening.tokens / kTraceBlockTokens);
      openings_.push_back(std::move(opening));
      popularity_.push_back(sum += std::pow(i + 1, -shape.zipf));
    }
  }

  Trace generate(std::uint64_t requests) {
    while (trace_.requests.size() < requests) {
      if (open_.empty() || next_session_s_ < open_.top().at_s) {
        begin_session();
      } else {
        take_turn();
      }
    }
    trace_.distinct_blocks = blocks_;
    return std::move(trace_);
  }

 private:
  void extend(std::vector<TraceBlock>& blocks, std::size_t count) {
    while (blocks.size() < count) blocks.push_back(blocks_++);
  }

  void begin_session() {
    const double drawn = rng_.uniform() * popularity_.back();
    const auto rank = std::ranges::upper_bound(popularity_, drawn) - popularity_.begin();
    const Opening& opening = openings_[static_cast<std::size_t>(rank)];
    open_.push({.at_s = next_session_s_,
                .number = sessions_++,
                .input_tokens = opening.tokens + tokens(rng_, shape_.opening_tokens, shape_.opening_sigma),
                .full_blocks = opening.blocks});
    next_session_s_ += exponential(rng_, shape_.turns / shape_.requests_per_s);
  }

  void take_turn() {
    Session session = open_.top();
    open_.pop();
    session.input_tokens = std::min(session.input_tokens, kGeneratedTokensMax);
    extend(session.full_blocks, session.input_tokens / kTraceBlockTokens);
    const std::uint32_t answer = tokens(rng_, shape_.answer_tokens, shape_.answer_sigma);
    append(session, answer);
    if (rng_.uniform() * shape_.turns < 1 || session.input_tokens == kGeneratedTokensMax) return;  // it was the last
    session.input_tokens += answer + tokens(rng_, shape_.turn_tokens, shape_.turn_sigma);
    session.at_s += exponential(rng_, shape_.turn_gap_s);
    open_.push(std::move(session));
  }

  void append(const Session& session, std::uint32_t answer) {
    TraceRequest request{.arrival = from_ms(session.at_s * 1e3),
                         .input_tokens = session.input_tokens,
                         .output_tokens = answer,
                         .first_block = trace_.blocks.size()};
    trace_.blocks.insert(trace_.blocks.end(), session.full_blocks.begin(), session.full_blocks.end());
    if (session.input_tokens % kTraceBlockTokens != 0) trace_.blocks.push_back(blocks_++);  // the partial one
    request.block_count = static_cast<std::uint32_t>(trace_.blocks.size() - request.first_block);
    trace_.requests.push_back(request);
  }

  const WorkloadShape& shape_;
  Rng rng_;
  std::vector<Opening> openings_;
  std::vector<double> popularity_;  // cumulated
  std::priority_queue<Session, std::vector<Session>, std::greater<>> open_;
  double next_session_s_ = 0;
  std::uint64_t sessions_ = 0;
  TraceBlock blocks_ = 0;
  Trace trace_;
};

}  // namespace

Result<WorkloadShape> workload_shape(std::string_view preset) {
  std::string names;
  for (const WorkloadShape& shape : kShapes) {
    if (shape.name == preset) return shape;
    names.append(names.empty() ? "" : ", ").append(shape.name);
  }
  return Status(Code::kInvalidArgument, fmt::format("no preset \"{}\"; there are {}", preset, names));
}

Trace generate_trace(const WorkloadShape& shape, std::uint64_t requests, std::uint64_t seed) {
  return Generator(shape, seed).generate(requests);
}

}  // namespace mooncake::sim
