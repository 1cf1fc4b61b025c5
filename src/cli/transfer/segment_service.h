// What `mooncake transfer serve` offers: one shared segment of noise that peers may read and write, and two messages.
//
//   describe   "" -> {"segment_index", "generation", "bytes", "cpu_s"}, so that a client needs an endpoint and no more
//   echo       any payload -> the same
//
// cpu_s is what the serving process has used so far: a benchmark asks before and after, also of another host.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/status.h"
#include "transfer/transfer_engine.h"

namespace mooncake::cli {

/// Apart from the store's and the workers' (store/methods.h, serve/methods.h).
inline constexpr std::uint16_t kMethodDescribe = 200;
inline constexpr std::uint16_t kMethodEcho = 201;

struct SegmentDescription {
  transfer::SegmentHandle segment;
  std::uint64_t bytes = 0;
  double cpu_s = 0;  ///< user and system time of the process that owns it

  bool operator==(const SegmentDescription&) const = default;
};

/// The text that describe answers with, and back. @return kCorrupt if it is none.
std::string format_description(const SegmentDescription& description);
Result<SegmentDescription> parse_description(std::string_view text);

/// A log of what is wrong, on standard error: that clients come and go is no news here.
Status quiet_log(const std::string& process);

/// User and system time that this process has used, all its threads together, in seconds.
double process_cpu_s();

/// Fills memory with what the same seed always gives; every page of it is then there.
void fill_with_noise(ByteSpan memory, std::uint64_t seed);

/// Registers such a segment, readable and writable by peers, and answers both messages. The memory lives as long as the
/// engine. @return kExhausted if there is not so much memory.
Result<SegmentDescription> offer_segment(transfer::TransferEngine& engine, std::uint64_t bytes, std::uint64_t seed);

}  // namespace mooncake::cli
