// Arena: the worker's block memory, of a fixed size, carved into leases. Prefill stages prompts in it, decode lands
// them.
//
// A lease is granted whole or not at all. When there is no room, requests wait in order of arrival: nobody overtakes,
// so a large prompt cannot starve behind small ones, and the memory never grows. A lease is counted by reference
// because several transfers, puts and the engine may use it at once; the last one to let go returns it.
//
// Thread-compatible: one owner, the executor. A lease may be dropped only there, or after the executor has stopped.
#pragma once

#include <absl/functional/any_invocable.h>

#include <cstdint>
#include <list>
#include <memory>

#include "base/bytes.h"
#include "base/executor.h"
#include "base/status.h"
#include "base/time.h"
#include "serve/worker/range_allocator.h"

namespace mooncake::serve {

/// Leases begin at multiples of this, a page: copies between processes map whole pages.
inline constexpr std::uint64_t kArenaUnitBytes = 4096;
/// Each waiter is a request that some gateway waits for; at this many the arena is no queue but an outage.
inline constexpr std::size_t kArenaWaitersMax = 4096;

class Arena : public std::enable_shared_from_this<Arena> {
 public:
  class Lease;
  using LeasePointer = std::shared_ptr<Lease>;  // shared by the operations that use the memory
  using Callback = absl::AnyInvocable<void(Result<LeasePointer>)>;
  /// Names one waiting request. 0 names none.
  using Ticket = std::uint64_t;

  /// `memory` must outlive the arena and every lease.
  static std::shared_ptr<Arena> create(ByteSpan memory, Executor& executor);

  /// Asks for `bytes`. `granted` runs inside this call when there is room and nobody waits, else later, or with
  /// kDeadlineExceeded; kOutOfRange if the arena can never hold it, kExhausted at kArenaWaitersMax.
  /// @return the ticket while the request waits, else 0.
  Ticket acquire(std::uint64_t bytes, Deadline deadline, Callback granted);
  /// Forgets a waiting request; its callback is destroyed. No-op when it is not waiting.
  void cancel(Ticket ticket);
  /// As acquire(), but never waits: null without room now, or while others wait.
  LeasePointer try_acquire(std::uint64_t bytes);

  [[nodiscard]] std::uint64_t bytes_max() const { return space_.size() * kArenaUnitBytes; }
  [[nodiscard]] std::uint64_t bytes_used() const { return space_.used() * kArenaUnitBytes; }
  [[nodiscard]] std::size_t waiting() const { return waiters_.size(); }

 private:
  struct Waiter {
    Ticket ticket;
    std::uint64_t bytes;
    TimerId timer;
    Callback granted;
  };
  Arena(ByteSpan memory, Executor& executor);
  LeasePointer carve(std::uint64_t bytes);
  void release(std::uint64_t offset, std::uint64_t units);
  void expire(Ticket ticket);
  void grant_waiters();

  const ByteSpan memory_;
  Executor& executor_;
  RangeAllocator space_;  // in units
  std::list<Waiter> waiters_;
  Ticket next_ticket_ = 1;
  bool granting_ = false;
};

/// A range of the arena, given back when it is destroyed.
class Arena::Lease {
 public:
  Lease(std::weak_ptr<Arena> arena, std::uint64_t offset, std::uint64_t units, ByteSpan bytes)
      : arena_(std::move(arena)), offset_(offset), units_(units), bytes_(bytes) {}
  ~Lease();
  Lease(const Lease&) = delete;
  Lease& operator=(const Lease&) = delete;

  [[nodiscard]] ByteSpan bytes() const { return bytes_; }

 private:
  std::weak_ptr<Arena> arena_;
  std::uint64_t offset_;
  std::uint64_t units_;
  ByteSpan bytes_;
};

}  // namespace mooncake::serve
