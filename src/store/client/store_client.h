// StoreClient: the distributed KVCache store as its users see it: batches of put, get, exists and locate.
//
// A get returns exactly the bytes of one committed object, checked by crc32c end to end, or a miss, or an error; never
// anything else. Objects are immutable: putting an existing key succeeds and writes nothing. The client batches by
// node, remembers locations (so that known objects are served while the master is away), and tries the next replica
// when a node fails before it reports a miss.
//
// Threads: every member may be called from any thread; callbacks run on the transfer engine's executor. Buffers may be
// any memory (allocate_shared() of the engine is fastest); the client registers exactly their range while an operation
// runs. They belong to the store until the callback.
//
// Source: docs/store.md.
#pragma once

#include <absl/functional/any_invocable.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/key128.h"
#include "base/status.h"
#include "base/time.h"
#include "transfer/transfer_engine.h"

namespace mooncake::store {

using ObjectKey = Key128;

struct PutItem {
  ObjectKey key;
  ConstByteSpan value;
  std::uint32_t crc32c = 0;  ///< of value; the node refuses bytes that do not match
};

struct GetItem {
  ObjectKey key;
  ByteSpan target;  ///< of exactly the object's size
};

struct GetOutcome {
  Status status;             ///< kNotFound: a miss. kCorrupt: bytes arrived wrong (the replica was dropped)
  std::uint32_t crc32c = 0;  ///< of the bytes in target, verified
  std::string node;          ///< name of the node that served it
};

/// Where live replicas of one key are; empty: nowhere known.
struct Location {
  std::string node;      ///< the node's name
  std::string endpoint;  ///< its transfer endpoint
};

struct StoreClientConfig {
  std::string master;          ///< transfer endpoint
  std::string preferred_node;  ///< node name that puts go to first; empty: any
  std::size_t location_cache_entries_max = 100'000;
};

class StoreClient {
 public:
  using PutCallback = absl::AnyInvocable<void(std::vector<Status>)>;
  using GetCallback = absl::AnyInvocable<void(std::vector<GetOutcome>)>;
  using LocateCallback = absl::AnyInvocable<void(Result<std::vector<std::vector<Location>>>)>;

  /// `engine` must outlive the client. Needs no reachable master: until there is one, gets miss and puts fail.
  static Result<std::unique_ptr<StoreClient>> create(const StoreClientConfig& config, transfer::TransferEngine& engine);
  /// Callbacks still outstanding come with kCancelled, or are destroyed with the executor.
  virtual ~StoreClient() = default;

  /// Ok for an item means: committed on a node, and published, so that every later locate or get finds it.
  virtual void put(std::vector<PutItem> items, Deadline deadline, PutCallback done) = 0;
  virtual void get(std::vector<GetItem> items, Deadline deadline, GetCallback done) = 0;
  /// As put(), but onto the preferred node, and no other, also what other nodes hold: a second copy of it, for those
  /// who read there. The directory knows at most kReplicasMax copies; a node drops one beyond them, and Ok means then
  /// only that enough others are there. kUnavailable for all of them without a preferred node that has joined.
  virtual void replicate(std::vector<PutItem> items, Deadline deadline, PutCallback done) = 0;
  /// Asks the directory. Refreshes the location cache.
  virtual void locate(std::vector<ObjectKey> keys, Deadline deadline, LocateCallback done) = 0;

  /// Blocking forms, for tools and tests. Not from the engine's executor.
  std::vector<Status> put_and_wait(std::vector<PutItem> items, Deadline deadline);
  std::vector<Status> replicate_and_wait(std::vector<PutItem> items, Deadline deadline);
  std::vector<GetOutcome> get_and_wait(std::vector<GetItem> items, Deadline deadline);
};

}  // namespace mooncake::store
