// For tests: an engine with an event loop of its own, as every process has; and waiting for callbacks without sleeping.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <functional>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/rng.h"
#include "net/event_loop.h"
#include "transfer/transfer_engine.h"

namespace mooncake::transfer {

/// Far beyond what anything here takes, sanitizers included; a test that needs it has failed.
inline Deadline soon() { return std::chrono::steady_clock::now() + Seconds(20); }
inline Deadline in(Millis delay) { return std::chrono::steady_clock::now() + delay; }

class TestNode {
 public:
  explicit TestNode(TransferConfig config = {}) : loop_(net::EventLoop::create("test-loop")) {
    loop_->start();
    Result<std::unique_ptr<TransferEngine>> engine = TransferEngine::create(std::move(config), *loop_);
    CHECK(engine.ok());
    engine_ = std::move(*engine);
  }
  ~TestNode() {
    engine_.reset();
    loop_->stop();
  }

  TransferEngine* operator->() { return engine_.get(); }
  TransferEngine& engine() { return *engine_; }
  net::EventLoop& loop() { return *loop_; }
  /// Ends the engine before the node.
  void destroy_engine() { engine_.reset(); }

  PeerHandle peer(TestNode& other) { return *engine_->connect(other->name()); }
  Result<std::string> ask(TestNode& other, std::uint16_t method, std::string payload, Deadline deadline = soon()) {
    return engine_->call_and_wait(peer(other), method, std::move(payload), deadline);
  }
  /// Serves `method` with what it was sent.
  void serve_echo(std::uint16_t method) {
    engine_->serve(method,
                   [](PeerHandle, std::string payload, Responder responder) { responder.reply(std::move(payload)); });
  }
  /// Waits until every task posted to the loop before has run.
  void drain() {
    std::promise<void> done;
    loop_->post([&done] { done.set_value(); });
    done.get_future().wait();
  }

 private:
  std::unique_ptr<net::EventLoop> loop_;
  std::unique_ptr<TransferEngine> engine_;
};

/// The sum over all paths, or those to one peer, by one transport, on one rail.
inline TransferStats total(TestNode& node, std::string_view peer = {}, std::string_view transport = {},
                           std::string_view rail = {}) {
  TransferStats sum;
  for (const TransferStats& row : node->stats()) {
    if (!peer.empty() && row.peer != peer) continue;
    if (!transport.empty() && row.transport != transport) continue;
    if (!rail.empty() && row.rail != rail) continue;
    sum.peer = row.peer;
    sum.bytes_sent += row.bytes_sent;
    sum.bytes_received += row.bytes_received;
    sum.slices_read += row.slices_read;
    sum.slices_written += row.slices_written;
    sum.slices_served += row.slices_served;
    sum.slices_failed += row.slices_failed;
    sum.slices_retried += row.slices_retried;
    sum.connections_lost += row.connections_lost;
    sum.slice_latency.sum += row.slice_latency.sum;
    for (std::size_t i = 0; i < sum.slice_latency.counts.size(); ++i) {
      sum.slice_latency.counts[i] += row.slice_latency.counts[i];
    }
  }
  return sum;
}

/// A value that some callback sets, once.
template <typename T>
class Later {
 public:
  /// Sets the value, from any thread. Only the first counts.
  std::function<void(T)> setter() {
    auto set = std::make_shared<std::atomic<bool>>(false);
    return [promise = promise_, set](T value) {
      if (!set->exchange(true)) promise->set_value(std::move(value));
    };
  }
  /// Waits for it. CHECK-fails if it does not come.
  T get() {
    CHECK(future_.wait_until(soon()) == std::future_status::ready);
    return future_.get();
  }
  /// Waits until then. @return whether it came.
  [[nodiscard]] bool wait_until(Deadline end) { return future_.wait_until(end) == std::future_status::ready; }
  [[nodiscard]] bool ready() { return future_.wait_for(Seconds(0)) == std::future_status::ready; }

 private:
  std::shared_ptr<std::promise<T>> promise_ = std::make_shared<std::promise<T>>();
  std::future<T> future_ = promise_->get_future();
};

/// Waits until `condition` holds, for state that announces itself to nobody (statistics). @return whether it did.
inline bool eventually(const std::function<bool()>& condition) {
  const Deadline end = soon();
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::yield();
  }
  return true;
}

/// Memory with content that depends on the seed.
inline std::vector<std::byte> noise(std::size_t bytes, std::uint64_t seed) {
  std::vector<std::byte> memory(bytes);
  Rng rng(seed);
  for (std::size_t at = 0; at < bytes; at += 8) {
    const std::uint64_t word = rng.next();
    std::memcpy(memory.data() + at, &word, std::min<std::size_t>(8, bytes - at));
  }
  return memory;
}

}  // namespace mooncake::transfer
