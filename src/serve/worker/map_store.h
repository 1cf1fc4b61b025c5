// MapStore: a store for tests: one map in memory, with clients that behave as the store's contract says, and switches
// for what can go wrong.
#pragma once

#include <algorithm>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "base/crc32c.h"
#include "base/executor.h"
#include "base/mutex.h"
#include "store/client/store_client.h"

namespace mooncake::serve {

/// Thread-safe.
class MapStore {
 public:
  /// Nothing can be reached: gets and puts fail.
  void set_down(bool down) {
    MutexLock lock(mutex_);
    down_ = down;
  }
  /// Flips a byte of every value from now on, behind the checksums' back: what a broken engine would have published.
  void spoil() {
    MutexLock lock(mutex_);
    for (auto& [key, value] : values_) value.at(value.size() / 2) ^= std::byte{1};
  }
  void erase(const store::ObjectKey& key) {
    MutexLock lock(mutex_);
    values_.erase(key);
  }
  [[nodiscard]] bool contains(const store::ObjectKey& key) {
    MutexLock lock(mutex_);
    return values_.contains(key);
  }
  [[nodiscard]] std::size_t size() {
    MutexLock lock(mutex_);
    return values_.size();
  }
  void clear() {
    MutexLock lock(mutex_);
    values_.clear();
  }

  Status put(const store::PutItem& item) {
    MutexLock lock(mutex_);
    if (down_) return {Code::kUnavailable, "the store is down"};
    if (crc32c(item.value) != item.crc32c) return {Code::kCorrupt, "wrong checksum"};
    values_.try_emplace(item.key, item.value.begin(), item.value.end());
    return {};
  }
  store::GetOutcome get(const store::GetItem& item) {
    MutexLock lock(mutex_);
    if (down_) return {Status(Code::kUnavailable, "the store is down"), 0, ""};
    const auto at = values_.find(item.key);
    if (at == values_.end() || at->second.size() != item.target.size()) return {Status(Code::kNotFound, "miss"), 0, ""};
    std::copy(at->second.begin(), at->second.end(), item.target.begin());
    return {Status::ok_status(), crc32c(item.target), "node-0"};
  }
  Result<std::vector<std::vector<store::Location>>> locate(const std::vector<store::ObjectKey>& keys) {
    MutexLock lock(mutex_);
    if (down_) return Status(Code::kUnavailable, "the store is down");
    std::vector<std::vector<store::Location>> locations;
    for (const store::ObjectKey& key : keys) {
      locations.push_back(values_.contains(key) ? std::vector<store::Location>{{"node-0", "127.0.0.1:1"}}
                                                : std::vector<store::Location>{});
    }
    return locations;
  }

 private:
  Mutex mutex_;
  std::map<store::ObjectKey, std::vector<std::byte>> values_ GUARDED_BY(mutex_);
  bool down_ GUARDED_BY(mutex_) = false;
};

/// Both must outlive it.
class MapStoreClient final : public store::StoreClient {
 public:
  MapStoreClient(MapStore& map, Executor& executor) : map_(map), executor_(executor) {}

  void put(std::vector<store::PutItem> items, Deadline, PutCallback done) override {
    executor_.post([this, items = std::move(items), done = std::move(done)]() mutable {
      std::vector<Status> outcomes;
      for (const store::PutItem& item : items) outcomes.push_back(map_.put(item));
      done(std::move(outcomes));
    });
  }
  /// There is one place only.
  void replicate(std::vector<store::PutItem> items, Deadline deadline, PutCallback done) override {
    put(std::move(items), deadline, std::move(done));
  }
  void get(std::vector<store::GetItem> items, Deadline, GetCallback done) override {
    executor_.post([this, items = std::move(items), done = std::move(done)]() mutable {
      std::vector<store::GetOutcome> outcomes;
      for (const store::GetItem& item : items) outcomes.push_back(map_.get(item));
      done(std::move(outcomes));
    });
  }
  void locate(std::vector<store::ObjectKey> keys, Deadline, LocateCallback done) override {
    executor_.post([this, keys = std::move(keys), done = std::move(done)]() mutable { done(map_.locate(keys)); });
  }

 private:
  MapStore& map_;
  Executor& executor_;
};

}  // namespace mooncake::serve
