// EndpointPool: which endpoints of one engine are open, and which goes when there are too many: SIEVE (Zhang et al.,
// NSDI '24) over those that carry nothing just now. A hand walks from the oldest to the newest; who was used since it
// came by stays, and loses the mark. So an endpoint that was used once does not push out those that are used always.
//
// Pure. Thread-compatible.
#pragma once

#include <absl/container/flat_hash_map.h>

#include <cstdint>
#include <functional>
#include <list>

namespace mooncake::transfer {

class EndpointPool {
 public:
  explicit EndpointPool(std::size_t limit) : limit_(limit) {}

  [[nodiscard]] bool full() const { return places_.size() >= limit_; }
  [[nodiscard]] std::size_t size() const { return places_.size(); }

  /// A new endpoint. Not while full(), and each id once.
  void add(std::uint64_t id);
  /// It carries something. No-op for an unknown id.
  void use(std::uint64_t id);
  /// It is closed. No-op for an unknown id.
  void remove(std::uint64_t id);

  /// Who must go, among those that are `idle`; 0 if none is. It stays in the pool until remove(). O(size).
  std::uint64_t victim(const std::function<bool(std::uint64_t)>& idle);

 private:
  struct Entry {
    std::uint64_t id = 0;
    bool used = false;
  };
  using Entries = std::list<Entry>;  // newest first; the hand walks towards the front

  std::size_t limit_;
  Entries entries_;
  Entries::iterator hand_ = entries_.end();  // end(): begin at the oldest
  absl::flat_hash_map<std::uint64_t, Entries::iterator> places_;
};

}  // namespace mooncake::transfer
