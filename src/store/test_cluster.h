// For tests: a master, nodes and clients in one process, each with an engine and an event loop of its own, over real
// sockets.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/crc32c.h"
#include "base/metrics.h"
#include "base/mutex.h"
#include "store/client/membership.h"
#include "store/client/store_client.h"
#include "store/master/master_service.h"
#include "store/node/node_service.h"
#include "transfer/test_node.h"

namespace mooncake::store {

using transfer::eventually;
using transfer::noise;
using transfer::soon;
using transfer::TestNode;

inline ObjectKey key(std::uint64_t number) { return {splitmix64(number), number}; }

inline transfer::TransferConfig transfer_config(const std::string& name, bool shm = true,
                                                const std::string& listen = "127.0.0.1:0") {
  transfer::TransferConfig config;
  config.node_name = name;
  config.enable_shm = shm;
  config.listen = listen;
  return config;
}

/// A master that can die and come back at its address.
class TestMaster {
 public:
  TestMaster() { start("127.0.0.1:0"); }
  ~TestMaster() { kill(); }

  void kill() {
    service_.reset();
    process_.reset();
  }
  void restart() {
    kill();
    start(name_);
  }
  [[nodiscard]] const std::string& name() const { return name_; }

 private:
  void start(const std::string& listen) {
    process_ = std::make_unique<TestNode>(transfer_config("master", true, listen));
    name_ = process_->engine().name();
    metrics_ = std::make_unique<Metrics>();
    Result<std::unique_ptr<MasterService>> service =
        MasterService::create({}, process_->engine(), process_->loop(), *metrics_);
    CHECK(service.ok());
    service_ = std::move(*service);
  }

  std::string name_;
  std::unique_ptr<Metrics> metrics_;
  std::unique_ptr<TestNode> process_;
  std::unique_ptr<MasterService> service_;
};

/// A store node; its death looks to others like kill -9: connections break, nothing is said.
class TestStoreNode {
 public:
  TestStoreNode(const std::string& name, const std::string& master, std::size_t pool_bytes, bool shm = true,
                std::size_t page_bytes = 16u << 10, double high_watermark = 1.0,
                std::string_view eviction = kDefaultEviction)
      : process_(std::make_unique<TestNode>(transfer_config(name, shm))) {
    NodeConfig config;
    config.name = name;
    config.master = master;
    config.page_bytes = page_bytes;
    config.high_watermark = high_watermark;
    config.eviction = eviction;
    config.pool = *process_->engine().allocate_shared(pool_bytes);
    pool_ = config.pool;
    Result<std::unique_ptr<NodeService>> service =
        NodeService::create(config, process_->engine(), process_->loop(), metrics_);
    CHECK(service.ok());
    service_ = std::move(*service);
  }
  ~TestStoreNode() { kill(); }

  void kill() {
    service_.reset();
    process_.reset();
  }
  [[nodiscard]] bool joined() const { return service_->joined(); }
  [[nodiscard]] ByteSpan pool() { return pool_; }
  [[nodiscard]] TestNode& process() { return *process_; }
  /// The value of a metric, by the text in front of it in /metrics.
  [[nodiscard]] double metric(const std::string& name) {
    const std::string text = metrics_.scrape();
    const std::size_t at = text.find("\n" + name + " ");
    return at == std::string::npos ? -1 : std::stod(text.substr(at + name.size() + 2));
  }

 private:
  Metrics metrics_;
  std::unique_ptr<TestNode> process_;
  ByteSpan pool_;
  std::unique_ptr<NodeService> service_;
};

class TestClient {
 public:
  explicit TestClient(const std::string& master, const std::string& preferred_node = "", bool shm = true)
      : process_(std::make_unique<TestNode>(transfer_config("client", shm))) {
    StoreClientConfig config;
    config.master = master;
    config.preferred_node = preferred_node;
    Result<std::unique_ptr<StoreClient>> store = StoreClient::create(config, process_->engine());
    CHECK(store.ok());
    store_ = std::move(*store);
  }
  ~TestClient() { kill(); }
  void kill() {
    store_.reset();
    process_.reset();
  }
  void kill_store() { store_.reset(); }

  [[nodiscard]] TestNode& process() { return *process_; }
  StoreClient* operator->() { return store_.get(); }

  Status put(std::uint64_t number, const std::vector<std::byte>& value) {
    return store_->put_and_wait({{key(number), value, crc32c(value)}}, soon())[0];
  }
  /// The value, of which the size is known.
  Result<std::vector<std::byte>> get(std::uint64_t number, std::size_t bytes) {
    std::vector<std::byte> value(bytes);
    const GetOutcome outcome = store_->get_and_wait({{key(number), value}}, soon())[0];
    if (!outcome.status.ok()) return outcome.status;
    EXPECT_EQ(outcome.crc32c, crc32c(value));
    return value;
  }
  /// Names of the nodes that the directory knows for the key.
  std::vector<std::string> locate(std::uint64_t number) {
    transfer::Later<std::vector<std::string>> names;
    store_->locate({key(number)}, soon(),
                   [set = names.setter()](const Result<std::vector<std::vector<Location>>>& found) {
                     std::vector<std::string> all;
                     if (!found.ok()) all.push_back(found.status().to_string());
                     if (found.ok()) {
                       for (const Location& location : (*found)[0]) all.push_back(location.node);
                     }
                     set(std::move(all));
                   });
    return names.get();
  }

 private:
  std::unique_ptr<TestNode> process_;
  std::unique_ptr<StoreClient> store_;
};

/// What a Membership told, for a test that asks for it from its own thread.
class TestWatcher {
 public:
  TestWatcher(const std::string& master, Member self)
      : process_(std::make_unique<TestNode>(transfer_config(self.name.empty() ? "watcher" : self.name))) {
    MembershipConfig config;
    config.master = master;
    config.self = std::move(self);
    config.watch_members = true;
    config.watch_cache = true;
    membership_ = Membership::create(config, process_->engine(),
                                     {.joined = [this] { note_joined(); },
                                      .members = [this](std::vector<Member> members) { note(std::move(members)); },
                                      .cache = [this](const std::vector<CacheChange>& changes) { note(changes); }});
  }
  ~TestWatcher() { kill(); }
  void kill() {
    membership_.reset();
    process_.reset();
  }

  [[nodiscard]] bool joined() const {
    const MutexLock lock(mutex_);
    return joined_ == 1;
  }
  [[nodiscard]] std::vector<std::string> members() const {
    const MutexLock lock(mutex_);
    std::vector<std::string> names;
    for (const Member& member : members_) names.push_back(member.name);
    return names;
  }
  [[nodiscard]] std::vector<Member> full_members() const {
    const MutexLock lock(mutex_);
    return members_;
  }
  /// How many lists of members were shorter than `count` since the last reset.
  [[nodiscard]] std::size_t shortest_list() const {
    const MutexLock lock(mutex_);
    return shortest_;
  }
  void reset_shortest() {
    const MutexLock lock(mutex_);
    shortest_ = members_.size();
  }
  [[nodiscard]] std::set<Key128> content(const std::string& node) const {
    const MutexLock lock(mutex_);
    const auto found = content_.find(node);
    return found == content_.end() ? std::set<Key128>{} : found->second;
  }
  [[nodiscard]] std::size_t clears() const {
    const MutexLock lock(mutex_);
    return clears_;
  }

 private:
  void note_joined() {
    const MutexLock lock(mutex_);
    ++joined_;
  }
  void note(std::vector<Member> members) {
    const MutexLock lock(mutex_);
    members_ = std::move(members);
    shortest_ = std::min(shortest_, members_.size());
  }
  void note(const std::vector<CacheChange>& changes) {
    const MutexLock lock(mutex_);
    for (const CacheChange& change : changes) {
      std::set<Key128>& held = content_[change.node];
      if (change.kind == CacheChange::Kind::kCleared) held.clear();
      if (change.kind == CacheChange::Kind::kCleared) ++clears_;
      if (change.kind == CacheChange::Kind::kStored) held.insert(change.keys.begin(), change.keys.end());
      if (change.kind == CacheChange::Kind::kRemoved) {
        for (const Key128& gone : change.keys) held.erase(gone);
      }
    }
  }

  mutable Mutex mutex_;
  int joined_ GUARDED_BY(mutex_) = 0;
  std::vector<Member> members_ GUARDED_BY(mutex_);
  std::size_t shortest_ GUARDED_BY(mutex_) = SIZE_MAX;
  std::map<std::string, std::set<Key128>> content_ GUARDED_BY(mutex_);
  std::size_t clears_ GUARDED_BY(mutex_) = 0;
  std::unique_ptr<TestNode> process_;
  std::unique_ptr<Membership> membership_;
};

inline Member member(const std::string& role, const std::string& name) {
  Member self;
  self.role = role;
  self.name = name;
  return self;
}

}  // namespace mooncake::store
