// EventQueue: what happens next in virtual time. Events of one instant come in the order of their kinds, and of one
// kind in the order in which they were pushed, so that a run is the same every time.
//
// Pure; thread-compatible. O(log n) an event.
#pragma once

#include <cstdint>
#include <queue>
#include <tuple>
#include <vector>

#include "base/time.h"

namespace mooncake::sim {

/// In the order in which events of one instant happen: what ends makes room before what begins asks for it.
enum class EventKind : std::uint8_t {
  kPrefillEnd,   ///< subject: prefill instance
  kFetchEnd,     ///< subject: prefill instance whose next prompt has got its prefix
  kCopyEnd,      ///< subject: a copy between caches whose bytes have arrived
  kCacheEvents,  ///< subject: none; the Conductor gets the oldest message about caches
  kDecodeReady,  ///< subject: request whose KVCache is on its decode instance
  kDecodeStep,   ///< subject: decode instance, at the end of a step that changes its batch
  kWaitEnd,      ///< subject: request for which no node has come back in time
  kTick,         ///< subject: none; the Conductor may act
};

struct Event {
  Instant at{};
  EventKind kind{};
  std::uint32_t subject = 0;
};

class EventQueue {
 public:
  void push(const Event& event) { heap_.push({event, pushed_++}); }
  [[nodiscard]] bool empty() const { return heap_.empty(); }
  /// The next event. Not empty.
  [[nodiscard]] const Event& top() const { return heap_.top().event; }
  void pop() { heap_.pop(); }

 private:
  struct Entry {
    Event event;
    std::uint64_t number = 0;
    /// True if it comes after `other`.
    [[nodiscard]] bool operator>(const Entry& other) const {
      return std::tuple(event.at, event.kind, number) > std::tuple(other.event.at, other.event.kind, other.number);
    }
  };
  std::priority_queue<Entry, std::vector<Entry>, std::greater<>> heap_;
  std::uint64_t pushed_ = 0;
};

}  // namespace mooncake::sim
