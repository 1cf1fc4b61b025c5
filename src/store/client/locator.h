// Locator: asks the directory where objects are, and which nodes there are to put them to; remembers both.
//
// Threads: everything on the engine's executor.
#pragma once

#include <absl/functional/any_invocable.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/rng.h"
#include "store/client/location_cache.h"
#include "transfer/transfer_engine.h"

namespace mooncake::store {

/// A live node, as of the last answer.
struct KnownNode {
  std::string name;
  std::string endpoint;
  std::uint64_t bytes_free = 0;
};

class Locator : public std::enable_shared_from_this<Locator> {
 public:
  using Callback = StoreClient::LocateCallback;

  Locator(const StoreClientConfig& config, transfer::TransferEngine& engine);

  /// Asks the master, in messages of kKeysPerMessageMax keys, and refreshes the cache. All or nothing.
  void locate(std::vector<ObjectKey> keys, Deadline deadline, Callback done);
  /// Answers that are under way become kCancelled, and the engine is not touched any more.
  void stop() { stopped_ = true; }
  [[nodiscard]] LocationCache& cache() { return cache_; }
  /// Where to put objects: the preferred node, or the freer of two random ones, and never one whose endpoint is in
  /// `avoid`. Null when there is none.
  [[nodiscard]] const KnownNode* choose_node(const std::vector<std::string>& avoid);

 private:
  struct Query;
  void ask(const std::shared_ptr<Query>& query, std::size_t begin, std::size_t end, Deadline deadline);
  Status take(Query& query, std::size_t begin, std::size_t end, const Result<std::string>& answer);

  const StoreClientConfig config_;
  transfer::TransferEngine& engine_;
  LocationCache cache_;
  std::vector<KnownNode> nodes_;
  Rng rng_;
  bool stopped_ = false;
};

}  // namespace mooncake::store
