// Totals: what a soak has done so far, and what went wrong. Thread-safe.
#pragma once

#include <fmt/format.h>

#include <array>
#include <atomic>
#include <cstdio>
#include <string>

#include "base/status.h"

namespace mooncake::soak {

struct Totals {
  std::array<std::atomic<std::uint64_t>, 15> by_code{};  ///< batches, by how they ended
  std::atomic<std::uint64_t> bytes{0};                   ///< of the batches that ended well; each one was checked
  std::atomic<std::uint64_t> notifies{0};
  std::atomic<std::uint64_t> revocations{0};  ///< of memory that a batch was using
  std::atomic<std::uint64_t> unchecked{0};    ///< the peer was killed before it could be asked
  std::atomic<std::uint64_t> connections_cut{0};
  std::atomic<std::uint64_t> kills{0};
  std::atomic<std::uint64_t> stops{0};
  std::atomic<std::uint64_t> failures{0};

  /// Something is as it must not be.
  void fail(const std::string& what) {
    ++failures;
    std::fprintf(stderr, "SOAK: %s\n", what.c_str());
  }
  [[nodiscard]] std::string line() const {
    std::string codes;
    for (std::size_t code = 0; code < by_code.size(); ++code) {
      if (by_code[code] > 0) codes += fmt::format("{} {}, ", by_code[code].load(), code_name(static_cast<Code>(code)));
    }
    return fmt::format(
        "batches: {}{} MiB checked, {} notifies, {} revocations in flight, {} not checked; "
        "{} connections cut, {} kills, {} stops; {} failures",
        codes, bytes >> 20, notifies.load(), revocations.load(), unchecked.load(), connections_cut.load(), kills.load(),
        stops.load(), failures.load());
  }
};

}  // namespace mooncake::soak
