// TransferEngine: moves bytes between registered memory of different processes, and carries the small messages that
// arrange it. One library, one set of connections, two verbs:
//
// - call/serve: request and response, up to kMessageBytesMax each, with a deadline;
// - submit: a batch of one-sided reads and writes between a local and a remote segment.
//
// Remote memory is named (segment, generation, offset), never by address. An access outside the segment, with an old
// generation or without the right gets a typed error and touches no byte. A service that answers a message may itself
// submit a batch on a range that the caller named in it: the owner of the bytes drives the transfer.
//
// Threads: every member may be called from any thread. Callbacks and handlers all run on one executor (see create()),
// never inside the call that started them. Nothing here blocks, except where a comment says so.
//
// Source: docs/transfer.md.
#pragma once

#include <absl/functional/any_invocable.h>

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/executor.h"
#include "base/status.h"
#include "base/time.h"
#include "transfer/auth/auth_config.h"
#include "transfer/stats/transfer_stats.h"
#include "transfer/transfer_trace.h"

namespace mooncake::transfer {

/// Larger values go by bulk transfer; 1 MiB keeps a message from delaying the ones behind it by more than 1 ms at 10
/// Gb/s.
inline constexpr std::size_t kMessageBytesMax = 1u << 20;
/// One batch is one allocation of control state; 4,096 slices of 64 KiB are 256 MiB, more than any request's KVCache
/// here.
inline constexpr std::size_t kBatchRequestsMax = 4096;

/// "host:port" of a peer's listening endpoint.
using PeerName = std::string;

/// One epoch of one peer: it becomes useless when that process dies or the last connection to it breaks, and a
/// restarted peer at the same address gets another handle. PeerHandle{} names no peer.
struct PeerHandle {
  std::uint64_t value = 0;
  auto operator<=>(const PeerHandle&) const = default;
};

/// A registered range of memory, as its owner and its peers name it. The generation is unique to one registration in
/// one process lifetime, so a handle that outlives its segment is refused and never mistaken for a later one.
struct SegmentHandle {
  std::uint32_t index = 0;
  std::uint64_t generation = 0;
  auto operator<=>(const SegmentHandle&) const = default;
};

/// Where registered memory lies.
enum class MemoryKind : std::uint8_t {
  kHost,  ///< of this machine
  kCuda,  ///< of an NVIDIA GPU of this process, by a pointer of the CUDA driver or runtime; never read or written here
};

/// What peers may do to a segment. Combine with |.
enum class Access : std::uint8_t { kNone = 0, kRead = 1, kWrite = 2, kReadWrite = 3 };

/// How register_file() opens a file or a block device.
struct FileOptions {
  bool writable = false;    ///< false: batches may only read it, and it must exist
  std::uint64_t bytes = 0;  ///< of the segment; 0: as many as it has. If writable, a smaller file is made or extended.
};

inline constexpr std::size_t kCapabilityBytes = 56;

/// The right to a range of a segment, as its owner gave it to one peer (TransferEngine::grant). Its holder sends it
/// back with a request; nobody else can use it, and nobody but the owner can make one.
struct Capability {
  std::array<std::byte, kCapabilityBytes> bytes{};

  /// For a field of a message.
  [[nodiscard]] std::string to_string() const { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }
  /// From a field of a message. @return kCorrupt if the size is wrong; all else is checked by the owner.
  static Result<Capability> from_string(std::string_view text);
  bool operator==(const Capability&) const = default;
};

/// One range to move. `local` lies inside one registered segment of this engine.
struct TransferRequest {
  enum class Op : std::uint8_t { kRead, kWrite };
  Op op = Op::kRead;         ///< kRead: remote to local. kWrite: local to remote.
  ByteSpan local;            ///< its size is the length of the transfer; an address only, if it is a GPU's
  SegmentHandle segment;     ///< the peer's; of this engine itself it may be a file
  std::uint64_t offset = 0;  ///< in the peer's segment, bytes
  /// The right to it, where the segment itself gives none. Checked by the owner, and then alone: a request with a wrong
  /// capability is refused whatever the segment allows.
  std::optional<Capability> capability = {};
};

/// A message that the target's handler gets after the last byte of a write batch is visible there. The batch is done
/// when that handler has let go of its responder; what it answers goes nowhere.
struct Notify {
  std::uint16_t method = 0;
  std::string payload;
};

/// Called once per batch, when every buffer has been let go of by the medium. Ok: all requests are applied and, for
/// writes, visible at the target. Otherwise the first failure; then any part of the batch may have been applied.
using BatchCallback = absl::AnyInvocable<void(Status)>;
/// Called once per call with the reply's payload, or with why there is none.
using CallCallback = absl::AnyInvocable<void(Result<std::string>)>;

/// Answers one incoming call, once, from any thread. Destroyed without an answer it replies kInternal.
class Responder {
 public:
  using Send = absl::AnyInvocable<void(Result<std::string>)>;
  explicit Responder(Send send) : send_(std::move(send)) {}
  Responder(Responder&& other) noexcept : send_(std::move(other.send_)) { other.send_ = nullptr; }
  Responder& operator=(Responder&& other) noexcept;
  ~Responder();

  /// Sends the reply. If the caller is gone meanwhile nothing happens. CHECK-fails when called twice.
  void reply(Result<std::string> result);

 private:
  Send send_;
};

/// Handles calls of one method: who asked, the payload, and how to answer, now or later.
using Handler = std::function<void(PeerHandle from, std::string payload, Responder responder)>;
/// Told once when a peer's epoch ends, after its calls and batches have failed with kPeerLost.
using PeerLostHandler = std::function<void(PeerHandle peer)>;

/// A batch in flight. Move-only; dropping it does not cancel the batch.
class Batch {
 public:
  struct State;  // shared with the engine until the medium has let go of the buffers
  Batch() = default;
  explicit Batch(std::shared_ptr<State> state) : state_(std::move(state)) {}
  std::shared_ptr<State> state_;
};

struct TransferConfig {
  /// Where to listen: "host:port", as peers reach it, so no 0.0.0.0; port 0 takes a free one. Elsewhere than on
  /// loopback only with authentication (or auth.insecure).
  std::string listen = "127.0.0.1:0";
  /// Endpoints on further network interfaces, in the order in which peers have theirs: the first of this engine and the
  /// first of a peer are one rail, the second ones another. Transfers spread over the rails, and go on when one fails.
  /// At most 11.
  std::vector<std::string> rails = {};
  /// Shown to peers in logs and metrics ("prefill-0").
  std::string node_name = "unnamed";
  /// Peers of another cluster are refused in the hello.
  std::string cluster_id = "default";
  /// TCP connections opened to one peer on each rail; stripes of large transfers spread over them.
  std::uint32_t connections_per_peer = 2;
  /// False: never use shm, even with a peer on this host. With TLS it is used only if auth.trusted_fabric.
  bool enable_shm = true;
  /// RDMA devices to use: empty or "none" for none, "auto" for all there are (none is no error), or names as
  /// `ibv_devices` lists them, with commas between ("mlx5_0,mlx5_1"), each of which must be there. With TLS as shm.
  std::string rdma_devices = {};
  /// File that says which network devices are near which memory (docs/transfer.md), for the choice of rails; empty: it
  /// is discovered, if this engine has more than one rail.
  std::string topology = {};
  /// Who may be a peer, and how that is proven.
  AuthConfig auth = {};
};

class TransferEngine {
 public:
  /// Listens and starts the I/O threads. `executor` runs all callbacks and must outlive the engine.
  /// @return kUnavailable when the address cannot be bound (the message says why), kInvalidArgument for a bad config,
  /// kNotFound or kPermissionDenied for the files that it names. Reads those files: blocks.
  static Result<std::unique_ptr<TransferEngine>> create(TransferConfig config, Executor& executor);
  /// As above; callbacks and handlers run on the engine's own I/O thread, executor(). That saves two changes of thread
  /// in every message, so it is the way for services whose handlers are short: while one runs, nothing else moves. The
  /// engine is not to be destroyed there.
  static Result<std::unique_ptr<TransferEngine>> create(TransferConfig config);

  /// Fails everything in flight with kCancelled (callbacks that cannot run any more are destroyed), closes connections,
  /// joins threads. Blocks briefly; on files of a device that has stopped answering, until the kernel gives them up.
  virtual ~TransferEngine() = default;

  /// The endpoint peers connect to, with the real port.
  [[nodiscard]] virtual const PeerName& name() const = 0;

  /// The executor of all callbacks: what is built on this engine keeps its state there.
  [[nodiscard]] virtual Executor& executor() const = 0;

  /// Memory that peers on this host can map: a memfd, zero-filled, populated lazily. It is unmapped by ~TransferEngine
  /// or free_shared(), not by unregister_memory(). Prefer it for pools and landing areas; any other memory can be
  /// registered too.
  /// @return kExhausted when the system has no address space or memory for it.
  virtual Result<ByteSpan> allocate_shared(std::size_t bytes) = 0;
  /// Releases what allocate_shared returned. Every segment in it must have been unregistered.
  virtual void free_shared(ByteSpan memory) = 0;

  /// Makes `memory` a segment: usable as `local` here, and by peers as far as `access` allows. The memory stays the
  /// caller's and must outlive the registration. Segments may overlap (a landing area inside a registered arena).
  ///
  /// kCuda: all of it of one GPU. Its bytes move by copies on streams of the engine's own, which wait for no stream of
  /// the caller: what is to be sent must be there when the batch is submitted, and what has arrived is there when it is
  /// done. The first such registration opens the driver and pins 64 MiB: it blocks, for up to seconds.
  /// @return kInvalidArgument (no bytes, or memory of the other kind), kExhausted (too many segments, or the driver has
  /// no memory), kUnavailable (kCuda without a GPU or its driver).
  virtual Result<SegmentHandle> register_memory(ByteSpan memory, MemoryKind kind, Access access) = 0;
  /// The same for memory of the host.
  Result<SegmentHandle> register_memory(ByteSpan memory, Access access) {
    return register_memory(memory, MemoryKind::kHost, access);
  }
  /// Makes a regular file or a block device a segment of this engine, for this engine alone: batches to connect(name())
  /// may name it as their `segment`, with registered memory as `local` (kRead: file to memory, kWrite: memory to file).
  /// A peer that names it gets kPermissionDenied. The segment covers bytes [0, options.bytes); room for a file that is
  /// made or extended is allocated now, where the file system can.
  ///
  /// A write that is complete can be read from the file by anybody; it is not synced, so a crash of the system, or an
  /// error that the file system meets later, may lose it. Where memory, offset and length are aligned (4 KiB will do
  /// nearly everywhere) the page cache is passed by. A read that meets the file's end, because it was truncated, fails
  /// with kOutOfRange. unregister_memory() closes the file.
  /// @return kNotFound, kPermissionDenied; kInvalidArgument (no file or device, empty, too small to be read only);
  /// kExhausted (no room, no descriptor); kUnavailable (a device that is mounted or registered to be written already).
  /// Blocks as long as the file system takes to open and allocate.
  virtual Result<SegmentHandle> register_file(const std::string& path, FileOptions options) = 0;
  /// Revokes the segment: from now on peers get kStale. `done` runs once no operation touches the memory any more; only
  /// then may it be reused for something else. A file has been closed by then.
  virtual Status unregister_memory(SegmentHandle segment, absl::AnyInvocable<void()> done) = 0;

  /// Gives one peer, for its epoch, the right to `access` to a range of a segment, whatever the segment itself allows;
  /// to be sent to it in a message. Memory that peers reach by capabilities only is registered with Access::kNone. The
  /// right ends with the registration or with the peer's epoch.
  /// @return kStale, kOutOfRange, or kInvalidArgument (no bytes, no rights).
  virtual Result<Capability> grant(SegmentHandle segment, std::uint64_t offset, std::uint64_t length, Access access,
                                   PeerHandle to) = 0;

  /// The live peer at `name`, connecting in the background if there is none: calls made meanwhile wait for the
  /// handshake. Cheap when connected; call it before every call rather than keeping handles over failures.
  /// @return kInvalidArgument if `name` is not "host:port". An unreachable peer shows as kUnavailable on its first
  /// call.
  virtual Result<PeerHandle> connect(const PeerName& name) = 0;

  /// Sends `payload` to the peer's handler of `method`. Fails with kUnavailable (never connected), kPeerLost,
  /// kDeadlineExceeded, kUnsupported (no such handler), kInvalidArgument (too large), or what the handler replied.
  virtual void call(PeerHandle peer, std::uint16_t method, std::string payload, Deadline deadline,
                    CallCallback done) = 0;
  /// As above, and blocks until the answer. Not from the engine's executor.
  Result<std::string> call_and_wait(PeerHandle peer, std::uint16_t method, std::string payload, Deadline deadline);

  /// Registers the handler of `method`. Before the first peer calls it; once per method.
  virtual void serve(std::uint16_t method, Handler handler) = 0;

  /// Starts a batch. At most kBatchRequestsMax requests. `notify` needs a batch of writes.
  virtual Batch submit(PeerHandle peer, std::span<const TransferRequest> requests, Deadline deadline,
                       std::optional<Notify> notify, BatchCallback done) = 0;
  /// Asks for an early end. The callback still comes, with kCancelled unless the batch had finished.
  virtual void cancel(const Batch& batch) = 0;
  /// Submits and blocks until done. Not from the engine's executor.
  Status submit_and_wait(PeerHandle peer, std::span<const TransferRequest> requests, Deadline deadline);

  /// Adds a handler that is told of every peer whose epoch ends, incoming or outgoing.
  virtual void on_peer_lost(PeerLostHandler handler) = 0;
  /// The listening endpoint that the peer announced in its hello; empty if unknown or gone.
  [[nodiscard]] virtual PeerName peer_name(PeerHandle peer) const = 0;

  /// Counters since creation, one row a path; a path that has carried nothing has none.
  [[nodiscard]] virtual std::vector<TransferStats> stats() const = 0;
  /// The same of batches and messages, one row for each peer and transport, and for each peer.
  [[nodiscard]] virtual std::vector<BatchStats> batch_stats() const = 0;
  [[nodiscard]] virtual std::vector<CallStats> call_stats() const = 0;

  /// `trace` hears what happens from now on; null: nobody does. It must live until another takes its place, or the
  /// engine ends. Blocks for as long as the loop is busy; when it returns, the one before hears nothing any more.
  virtual void set_trace(TransferTrace* trace) = 0;
};

}  // namespace mooncake::transfer
