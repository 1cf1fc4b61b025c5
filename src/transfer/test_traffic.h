// For tests: batches and calls from one engine to another in this process, without a pause, while a test breaks what is
// between them. Checks every byte, and that nothing fails; remembers the longest time that any of it took.
#pragma once

#include <fmt/format.h>

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "transfer/test_node.h"

namespace mooncake::transfer {

class TestTraffic {
 public:
  static constexpr std::uint16_t kCount = 950;
  static constexpr int kLanes = 3;

  /// `batch_bytes` a batch; each lane has one in flight, writes and reads in turns.
  TestTraffic(TestNode& from, TestNode& to, std::size_t batch_bytes) : from_(from), to_(to), peer_(from.peer(to)) {
    // The numbers come in the order in which they were sent, each once.
    to->serve(kCount, [this](PeerHandle, const std::string& payload, Responder responder) {
      if (payload != std::to_string(heard_)) fail(fmt::format("message {} came as number {}", payload, heard_));
      ++heard_;
      responder.reply(payload);
    });
    for (int i = 0; i < kLanes; ++i) lanes_.push_back(std::make_unique<Lane>(*this, batch_bytes, i));
    for (const auto& lane : lanes_) threads_.emplace_back([this, lane = lane.get()] { lane->run(*this); });
    threads_.emplace_back([this] { call_on_and_on(); });
  }
  ~TestTraffic() {
    stop();
    for (const auto& lane : lanes_) {
      unregister(from_, lane->near_segment);
      unregister(to_, lane->segment);
    }
  }

  void stop() {
    stop_ = true;
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
  }
  /// Waits until every lane, and the calls, have come so much further. @return false if they do not.
  bool goes_on(int batches) {
    std::unique_lock lock(mutex_);
    std::vector<int> goals = done_;
    for (int& goal : goals) goal += batches;
    const auto there = [&] { return std::ranges::equal(done_, goals, std::ranges::greater_equal()); };
    changed_.wait_until(lock, soon(), [&] { return !failure_.empty() || there(); });
    return failure_.empty() && there();
  }
  /// What went wrong first; empty if nothing.
  [[nodiscard]] std::string failure() const {
    const std::lock_guard lock(mutex_);
    return failure_;
  }
  /// The longest that a batch, or a call, took.
  [[nodiscard]] Millis longest() const { return Millis(longest_ms_.load()); }

 private:
  /// Memory at both ends, of which one batch at a time moves all.
  struct Lane {
    Lane(TestTraffic& traffic, std::size_t bytes, int index)
        : number(index), here(noise(bytes, 2 * index)), there(noise(bytes, 2 * index + 1)) {
      near_segment = *traffic.from_->register_memory(here, Access::kNone);
      segment = *traffic.to_->register_memory(there, Access::kReadWrite);
    }
    void run(TestTraffic& traffic) {
      for (std::uint64_t round = 0; !traffic.stop_; ++round) {
        const bool write = round % 2 == 0;
        std::vector<std::byte>& source = write ? here : there;
        for (std::size_t at = 0; at + 8 <= source.size(); at += 4096) store_le(source.data() + at, round);
        const auto op = write ? TransferRequest::Op::kWrite : TransferRequest::Op::kRead;
        const TransferRequest request{.op = op, .local = here, .segment = segment, .offset = 0};
        traffic.timed([&] { return traffic.from_->submit_and_wait(traffic.peer_, std::span(&request, 1), soon()); });
        if (std::memcmp(here.data(), there.data(), here.size()) != 0) traffic.fail("a batch left other bytes");
        traffic.advance(number);
      }
    }
    const int number;
    std::vector<std::byte> here;
    std::vector<std::byte> there;
    SegmentHandle near_segment;
    SegmentHandle segment;
  };

  /// Returns when nobody touches the memory any more.
  static void unregister(TestNode& node, SegmentHandle segment) {
    Later<bool> gone;
    CHECK(node->unregister_memory(segment, [set = gone.setter()] { set(true); }).ok());
    gone.get();
  }

  void call_on_and_on() {
    for (int call = 0; !stop_; ++call) {
      timed([&] { return from_->call_and_wait(peer_, kCount, std::to_string(call), soon()).status(); });
      advance(kLanes);
    }
  }
  void timed(const std::function<Status()>& operation) {
    const Instant before = std::chrono::steady_clock::now();
    const Status status = operation();
    const auto took = std::chrono::duration_cast<Millis>(std::chrono::steady_clock::now() - before).count();
    for (auto longest = longest_ms_.load(); took > longest && !longest_ms_.compare_exchange_weak(longest, took);) {
    }
    if (!status.ok()) fail(status.to_string());
  }
  void fail(const std::string& what) {
    const std::lock_guard lock(mutex_);
    if (failure_.empty()) failure_ = what;
    stop_ = true;
    changed_.notify_all();
  }
  void advance(int lane) {
    const std::lock_guard lock(mutex_);
    ++done_.at(lane);
    changed_.notify_all();
  }

  TestNode& from_;
  TestNode& to_;
  const PeerHandle peer_;
  std::atomic<bool> stop_{false};
  std::atomic<std::int64_t> longest_ms_{0};
  int heard_ = 0;  // on the other engine's loop
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<int> done_ = std::vector<int>(kLanes + 1);  // batches of each lane, and calls
  std::string failure_;
  std::vector<std::unique_ptr<Lane>> lanes_;
  std::vector<std::thread> threads_;
};

}  // namespace mooncake::transfer
