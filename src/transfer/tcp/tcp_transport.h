// TcpTransport: bulk over the TCP connections to one peer, both as the side that asks and as the side that serves.
//
// A write frame carries its data; the target checks the range when the head has come, lets the data land in it, and
// answers done. A read is answered by a data frame that lands in the range that asked. Slices go to the connection with
// the least waiting, so large transfers spread over all of them. What lands, and what is being sent, can be let go at
// once: late bytes are thrown away, unsent ones are copied.
// Loop thread only.
#pragma once

#include <absl/container/flat_hash_map.h>

#include <memory>
#include <string>
#include <vector>

#include "transfer/connection.h"
#include "transfer/context.h"
#include "transfer/slice_queue.h"
#include "transfer/transport.h"

namespace mooncake::transfer {

/// Reads of a peer that are being answered; its own window is 64 here, other versions may have a larger one.
inline constexpr std::size_t kAnsweredReadsMax = 4096;

class TcpTransport final : public Transport {
 public:
  /// `handle` is the peer, `peer` its name in statistics.
  TcpTransport(Context& context, SliceQueue& queue, PeerHandle handle, std::string peer)
      : context_(context), queue_(queue), peer_handle_(handle), peer_(std::move(peer)) {}

  void add(std::shared_ptr<Connection> connection) { connections_.push_back(std::move(connection)); }
  [[nodiscard]] std::size_t connection_count() const { return connections_.size(); }
  [[nodiscard]] bool owns(const Connection& connection) const;
  /// The connection that carries messages, in order. There is one.
  Connection& control() { return *connections_.front(); }

  [[nodiscard]] std::string_view name() const override { return "tcp"; }
  void start(SliceId id, const Slice& slice) override;
  Abandoned abandon(SliceId id, const Slice& slice) override;

  /// The frames of this transport, as Connection::Handler describes. A failure is a reason to end the connection.
  Status on_read(Connection& from, const FrameHeader& header, std::string_view payload);
  Status on_done(const FrameHeader& header, std::string_view payload);
  std::byte* on_bulk(Connection& from, const FrameHeader& header, const BulkRange& range);
  Status on_bulk_end(Connection& from, const FrameHeader& header, const BulkRange& range);
  void on_bulk_sent(const FrameHeader& header);

  /// Lets go of a segment: nothing lands in it or is sent from it after this.
  void revoke(SegmentHandle segment);
  /// Closes the connections and lets go of everything.
  void close(const Status& reason, bool tell);

 private:
  /// A bulk payload that is arriving on a connection.
  struct Landing {
    FrameKind kind = FrameKind::kData;
    std::uint64_t request_id = 0;
    SegmentHandle segment;  // of a write, while it is held
    Status status;          // of a write: the answer. Of data: a reason to close
  };
  /// A read that is being answered.
  struct Answer {
    SegmentHandle segment;
    Connection* connection = nullptr;
    std::size_t bytes = 0;
  };

  Connection& least_busy();
  void take_back(std::uint64_t request_id);
  void divert_data(std::uint64_t request_id);
  Status begin_data(const FrameHeader& header, const BulkRange& range, std::byte*& to);
  static void send_done(Connection& to, std::uint64_t request_id, const Status& status);

  Context& context_;
  SliceQueue& queue_;
  const PeerHandle peer_handle_;
  const std::string peer_;
  std::vector<std::shared_ptr<Connection>> connections_;  // shared: see Connection
  absl::flat_hash_map<Connection*, Landing> landings_;
  absl::flat_hash_map<std::uint64_t, Answer> answers_;
  std::size_t next_read_ = 0;
};

}  // namespace mooncake::transfer
