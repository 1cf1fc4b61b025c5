// Rng: small, seedable, deterministic random numbers (splitmix64, Steele et al., OOPSLA 2014). The same seed gives the
// same numbers on every machine, which is what sampling, simulation and tests need. Not for secrets.
#pragma once

#include <cstdint>

namespace mooncake {

/// One step of splitmix64: a bijection of 64-bit integers whose outputs look random. Also our integer hash.
constexpr std::uint64_t splitmix64(std::uint64_t x) {
  x += 0x9e3779b97f4a7c15ULL;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
  return x ^ (x >> 31);
}

/// Thread-compatible.
class Rng {
 public:
  explicit constexpr Rng(std::uint64_t seed) : state_(seed) {}

  /// Uniform over all 64-bit values.
  constexpr std::uint64_t next() {
    const std::uint64_t value = splitmix64(state_);
    state_ += 0x9e3779b97f4a7c15ULL;
    return value;
  }

  /// Uniform in [0, bound); bound > 0. The bias is below bound / 2^64.
  constexpr std::uint64_t below(std::uint64_t bound) {
    return static_cast<std::uint64_t>((static_cast<unsigned __int128>(next()) * bound) >> 64);
  }

  /// Uniform in [0, 1) with 53 bits.
  constexpr double uniform() { return static_cast<double>(next() >> 11) * 0x1.0p-53; }

 private:
  std::uint64_t state_;
};

/// A seed that differs from process to process, from the operating system. Throws nothing; aborts if the kernel has no
/// randomness to give.
std::uint64_t random_seed();

}  // namespace mooncake
