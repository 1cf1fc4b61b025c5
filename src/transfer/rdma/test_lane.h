// For tests: one end of a message lane, without an engine.
#pragma once

#include <atomic>
#include <functional>
#include <future>
#include <memory>
#include <string>
#include <vector>

#include "transfer/rdma/message_lane.h"
#include "transfer/test_node.h"

namespace mooncake::transfer {

/// A loop with the devices on it, as an engine has.
class LaneSide {
 public:
  explicit LaneSide(const std::string& device)
      : loop_(net::EventLoop::create("test-side")), host_(*RdmaHost::open(device, segments_, pools_)) {
    host_->start(*loop_);
    loop_->start();
  }
  ~LaneSide() {
    run([this] { host_->close(); });
    run([] {});  // what was retired is gone
    loop_->stop();
    loop_->join();
  }

  /// Runs `task` on the loop and waits for it.
  void run(const std::function<void()>& task) {
    std::promise<void> done;
    loop_->post([&] {
      task();
      done.set_value();
    });
    done.get_future().wait();
  }
  net::EventLoop& loop() { return *loop_; }
  RdmaHost& host() { return *host_; }
  [[nodiscard]] const RdmaHost::Port& port() const { return host_->ports()[0]; }

 private:
  SegmentTable segments_{1};
  PoolSet pools_;
  std::unique_ptr<net::EventLoop> loop_;
  std::unique_ptr<RdmaHost> host_;
};

/// Hears what a lane reports; read it on the lane's loop, or once it has gone quiet.
class LaneEar final : public MessageLane::User {
 public:
  void on_lane_ready() override { ++ready; }
  Status on_lane_frame(const FrameHeader& header, std::string payload) override {
    ids.push_back(header.request_id);
    bytes += payload.size();
    for (const char each : payload) right = right && each == static_cast<char>(header.request_id);
    ++frames;
    return {};
  }
  void on_lane_over(const Status& why) override { set_over(why); }

  std::atomic<int> ready{0};
  std::atomic<std::uint64_t> frames{0};
  std::vector<std::uint64_t> ids;
  std::size_t bytes = 0;
  bool right = true;
  Later<Status> over;
  std::function<void(Status)> set_over = over.setter();
};

}  // namespace mooncake::transfer
