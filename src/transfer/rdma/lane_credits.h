// LaneCredits: how many pieces each end of a message lane (message_lane.h) may send, so that a piece always finds a
// buffer that waits for it.
//
// Each end posts kLanePieces buffers for data. It counts those that it has emptied and posted again, and reports that
// number, modulo 2^32, as the immediate data of every piece that it sends: so who sends knows how many wait. With
// nothing to send it reports by an empty piece after half of them. Two such may be on their way, no more: each is for
// half the buffers, and the other end sends none beyond those that were reported. They find kLaneReserve buffers of
// their own.
//
// Pure. Thread-compatible.
#pragma once

#include <cstdint>

#include "base/status.h"

namespace mooncake::transfer {

/// 32 pieces of 4 KiB, the longest packet of RDMA: 128 KiB are on their way at most, which covers 10 us at 13 GB/s.
inline constexpr std::uint32_t kLanePieces = 32;
inline constexpr std::uint32_t kLanePieceBytes = 4096;
inline constexpr std::uint32_t kLaneReserve = 2;

class LaneCredits {
 public:
  /// A piece with data may be sent.
  [[nodiscard]] bool can_send() const { return sent_ - emptied_there_ < kLanePieces; }
  void on_sent() { ++sent_; }
  /// What the other end reports, by a piece with data or `alone`. @return kCorrupt if it has emptied more than was
  /// sent, or nothing since the last report and yet says so alone.
  Status on_report(std::uint32_t total, bool alone = false);

  /// A piece with data was taken, and its buffer posted again.
  void on_emptied() { ++emptied_; }
  /// The other end may soon wait for a report: send an empty piece, if nothing else goes.
  [[nodiscard]] bool must_report() const { return emptied_ - reported_ >= kLanePieces / 2; }
  /// The report to send now.
  std::uint32_t report() { return reported_ = emptied_; }

 private:
  std::uint32_t sent_ = 0;           // each of these wraps around
  std::uint32_t emptied_there_ = 0;  // of what was sent
  std::uint32_t emptied_ = 0;        // of what came
  std::uint32_t reported_ = 0;       // of emptied_
};

}  // namespace mooncake::transfer
