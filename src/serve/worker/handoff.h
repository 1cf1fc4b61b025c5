// Handoff: one prompt's KVCache on its way from this prefill worker to a decode worker.
//
//   reserve -> (landing area known) -> write blocks as they are made -> all written -> join -> joined
//
// Blocks may be offered before the landing area is known; they are written when it is. Any failure ends the handoff
// once and for all; the gateway then decides again. After an end without join the decode worker is told to forget the
// request.
//
// Thread-compatible: one owner, the loop.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "serve/worker/arena.h"
#include "serve/worker/worker_context.h"

namespace mooncake::serve {

class Handoff : public std::enable_shared_from_this<Handoff> {
 public:
  struct Callbacks {
    std::function<void()> joined;        ///< the decode worker has verified everything and goes on alone
    std::function<void(Status)> failed;  ///< at most once, not after joined, never inside a call of this class
  };
  /// `lease` holds the prompt's blocks, slot i for block i. `deadline` bounds everything.
  static std::shared_ptr<Handoff> create(const WorkerContext& context, transfer::PeerName decode,
                                         Arena::LeasePointer lease, Deadline deadline, Callbacks callbacks);
  /// Tells the decode worker, unless it has joined.
  ~Handoff();

  /// Asks for the landing area. First, and once.
  void reserve(const ReserveCall& call);
  /// Blocks [first, first + count) are complete in the lease and will not change.
  void offer(std::uint32_t first, std::uint32_t count);
  /// Everything has been offered: join as soon as it is written. Once.
  void join(JoinCall call);

  /// Bytes written so far.
  [[nodiscard]] std::uint64_t bytes_written() const { return bytes_written_; }

 private:
  Handoff(const WorkerContext& context, transfer::PeerName decode, Arena::LeasePointer lease, Deadline deadline,
          Callbacks callbacks);
  void on_reserved(Result<std::string> reply);
  void write(std::uint32_t first, std::uint32_t count);
  void on_written(std::uint64_t bytes, const Status& status);
  void join_when_written();
  void on_joined(const Result<std::string>& reply);
  void fail(const Status& status);

  const WorkerContext& context_;
  const transfer::PeerName decode_;
  const Arena::LeasePointer lease_;
  const Deadline deadline_;
  Callbacks callbacks_;
  RequestId id_;
  transfer::PeerHandle peer_;
  std::optional<ReserveAnswer> landing_;
  std::vector<std::pair<std::uint32_t, std::uint32_t>> offered_;  // (first, count), before the landing area is known
  std::optional<JoinCall> join_;
  std::uint32_t writes_in_flight_ = 0;
  std::uint64_t bytes_written_ = 0;
  bool joined_ = false;
  bool failed_ = false;
};

}  // namespace mooncake::serve
