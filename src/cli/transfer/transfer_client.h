// TransferClient: an engine that knows one peer, which offers a segment (segment_service.h), and has memory of its own
// to move bytes to and from. Used by one thread, but for engine(), which any thread may use; its callbacks run on its
// own.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/config.h"
#include "base/status.h"
#include "base/time.h"
#include "cli/transfer/segment_service.h"
#include "transfer/transfer_engine.h"

namespace mooncake::cli {

/// How long a peer may take to answer a question.
inline constexpr Seconds kTransferAnswerWait{10};

/// How an engine shows itself to its peer, and how bytes may go.
struct TransferClientOptions {
  std::string name = "transfer-client";
  transfer::AuthConfig auth = {};
  std::string topology = {};  ///< a file; see TransferConfig
  bool shm = true;            ///< false: bytes go by tcp also within this host
};

/// `name`, `topology` and the authentication that `section` says ("transfer_read").
TransferClientOptions transfer_client_options(const Config& config, std::string_view section);

class TransferClient {
 public:
  /// Connects to "host:port" and asks what is there.
  /// @return kInvalidArgument for what is no endpoint; kUnavailable if nobody listens there; kPermissionDenied if one
  /// of both does not prove what the other wants; kUnsupported if who listens is no `transfer serve`; as
  /// TransferEngine::create() for the files that `options` names.
  static Result<std::unique_ptr<TransferClient>> connect(const std::string& peer, TransferClientOptions options);
  /// An engine that is its own peer, with a segment of so many bytes: transport mem.
  static Result<std::unique_ptr<TransferClient>> connect_to_itself(std::uint64_t bytes);

  /// An engine whose "peer" is a file that it reads and writes itself: transport file. @return as register_file().
  static Result<std::unique_ptr<TransferClient>> open_file(const std::string& path, std::uint64_t bytes);

  /// An engine that is its own peer, with memory of a GPU, which outlives it, for a segment: transport cuda.
  /// @return as register_memory().
  static Result<std::unique_ptr<TransferClient>> open_gpu(ByteSpan memory);

  [[nodiscard]] transfer::TransferEngine& engine() { return *engine_; }
  [[nodiscard]] transfer::PeerHandle peer() const { return peer_; }
  [[nodiscard]] const SegmentDescription& remote() const { return remote_; }
  /// What allocate_local() made, or use_gpu() was given; empty before.
  [[nodiscard]] ByteSpan local() const { return local_; }

  /// Makes local() so many bytes of shared memory, which peers on this host can map. Once.
  Status allocate_local(std::uint64_t bytes);
  /// Makes local() memory of a GPU, which outlives this. Once, in place of allocate_local(). @return as
  /// register_memory().
  Status use_gpu(ByteSpan memory);

  /// User and system time of both processes so far, in seconds; of the one process if the engine is its own peer.
  /// @return as TransferEngine::call().
  Result<double> cpu_s();

  /// Moves all of local() from or to `offset` of the peer's segment, and waits for the end.
  /// @return as TransferEngine::submit().
  Status move(transfer::TransferRequest::Op op, std::uint64_t offset, Deadline deadline);

  /// The transport that has carried most bytes so far: "shm"; empty if none has moved.
  [[nodiscard]] std::string transport();

 private:
  TransferClient() = default;
  static Result<std::unique_ptr<TransferClient>> with_own_peer();
  Status find_peer(const std::string& peer);
  Result<SegmentDescription> describe();

  std::unique_ptr<transfer::TransferEngine> engine_;
  transfer::PeerHandle peer_;
  SegmentDescription remote_;
  ByteSpan local_;
  bool own_peer_ = false;
};

}  // namespace mooncake::cli
