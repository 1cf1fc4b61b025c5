// QueuePair: one end of a reliable connection between two RDMA ports, with a completion queue of its own.
//
// Of an endpoint for bulk the opener reads and writes, the server grants and takes back; over a message lane both send.
// Loop thread only.
#pragma once

#include <memory>

#include "base/bytes.h"
#include "base/status.h"
#include "transfer/rdma/rdma_device.h"

namespace mooncake::transfer {

/// Slices on one endpoint at once: the window of a peer (slice_queue.h), should it have a single rail.
inline constexpr std::uint32_t kEndpointSlicesMax = 64;

class QueuePair {
 public:
  /// Told of what was posted. It may close the queue pair, and retire it (RdmaHost), but not delete it.
  class Sink {
   public:
    virtual ~Sink() = default;
    virtual void on_completion(const ibv_wc& completion) = 0;
    /// The device has given the connection up.
    virtual void on_fault(std::string_view what) = 0;
  };

  /// What fits into its queues. For each slice the opener posts two operations (moves, gives back), and the server two
  /// (binds, invalidates).
  struct Room {
    std::uint32_t sends = 2 * kEndpointSlicesMax;
    std::uint32_t receives = kEndpointSlicesMax;
    std::uint32_t inline_bytes = 0;  ///< wanted; see inline_max()
    bool reached = true;             ///< the peer may read and write what it has a key of
  };

  /// @return kExhausted or kUnavailable when the device has no room for one. `sink` must outlive close().
  static Result<std::unique_ptr<QueuePair>> create(RdmaDevice& device, const RdmaPort& port, Sink& sink,
                                                   const Room& room);
  static Result<std::unique_ptr<QueuePair>> create(RdmaDevice& device, const RdmaPort& port, Sink& sink) {
    return create(device, port, sink, Room());
  }
  ~QueuePair() { close(); }
  QueuePair(const QueuePair&) = delete;
  QueuePair& operator=(const QueuePair&) = delete;

  /// What the other end must know of this one.
  [[nodiscard]] const RdmaEnd& end() const { return end_; }
  /// Connects to the other end, with the mtu and reads at once that its RdmaEnd states. @return kUnavailable with the
  /// reason; then close it.
  Status connect(const RdmaEnd& peer);

  /// Posts one operation; `id` comes back in its completion. False: the queue is full or the device gone.
  bool read(std::uint64_t id, ByteSpan local, const Registration& registration, std::uint64_t address,
            std::uint32_t key);
  /// The other end gets `immediate` when the bytes are in place there.
  bool write(std::uint64_t id, ByteSpan local, const Registration& registration, std::uint64_t address,
             std::uint32_t key, std::uint32_t immediate);
  bool send(std::uint64_t id, std::uint32_t immediate);
  /// Room for one `immediate`.
  bool receive(std::uint64_t id);
  /// Sends `bytes`, which may be none, with `immediate`. The bytes may be used again after the completion, or that of a
  /// later operation; unless something goes wrong there is one only if it is `signaled`.
  bool send(std::uint64_t id, ConstByteSpan bytes, const ibv_mr& region, std::uint32_t immediate, bool signaled);
  /// Room for that at the other end: the device's until its completion, or close().
  bool receive(std::uint64_t id, ByteSpan into, const ibv_mr& region);
  /// Bytes that a send() may copy into the queue, so that the device need not fetch them: as many as were wanted, or 0.
  [[nodiscard]] std::uint32_t inline_max() const { return inline_max_; }
  /// Lets the other end, through this queue pair only, read or write `memory` by `key`, from its completion on.
  bool bind(std::uint64_t id, ibv_mw* window, std::uint32_t key, ByteSpan memory, const Registration& registration,
            bool write);
  /// Takes that back: nothing is read or written by `key` after its completion.
  bool invalidate(std::uint64_t id, std::uint32_t key);

  /// The device had something to say: reports completions until there are none.
  void on_event();
  void on_fault(std::string_view what) { sink_.on_fault(what); }

  /// Ends it: when this returns the device touches no memory on its behalf. Completions that were not reported are
  /// lost. It is moved to the error state first, so that windows can be freed between stop() and close().
  void stop();
  void close();
  [[nodiscard]] bool open() const { return pair_ != nullptr; }

 private:
  QueuePair(RdmaDevice& device, const RdmaPort& port, Sink& sink) : device_(device), port_(port), sink_(sink) {}

  Status set_up(const Room& room);
  bool create_pair(const Room& room);
  Status ready_to_receive(const RdmaEnd& peer);
  Status ready_to_send(const RdmaEnd& peer);
  bool post(ibv_send_wr& work, bool signaled = true);

  RdmaDevice& device_;
  const RdmaPort port_;
  Sink& sink_;
  ibv_cq* completions_ = nullptr;
  ibv_qp* pair_ = nullptr;
  RdmaEnd end_;
  std::uint32_t inline_max_ = 0;
};

}  // namespace mooncake::transfer
