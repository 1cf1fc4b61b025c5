// CopyLanes: copies to, from and between devices that go on while the loop does something else.
//
// A lane is a stream with one copy on it, and behind the copy a function of ours that the driver calls on a thread of
// its own: it marks the lane and wakes the loop through an eventfd. So nothing blocks and nothing is polled. The next
// copy does not wait for that function, because it is on another lane. If the device fails the driver calls nothing; a
// timer that runs while copies do asks for that.
//
// A copy that has begun cannot be stopped: its memory is the device's until it is reported. Loop thread only.
#pragma once

#include <absl/functional/any_invocable.h>

#include <atomic>
#include <deque>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "net/event_loop.h"
#include "transfer/cuda/primary_context.h"
#include "transfer/transfer_engine.h"

namespace mooncake::transfer {

/// Copies on one device at once: a MiB takes 40 us at 25 GB/s, the wakeup behind it about 20 us, and the device has an
/// engine for each direction. Four each way keep both busy.
inline constexpr std::size_t kLanesPerDevice = 8;
/// How often lanes that carry something are asked whether their device has failed. A copy of the largest slice takes 1
/// ms.
inline constexpr Millis kDeviceCheck{100};

struct DeviceCopy {
  std::uint64_t id = 0;   ///< for cancel(); not 0
  SegmentHandle segment;  ///< of this engine that it reads or writes for a peer, for revoke()
  std::byte* to = nullptr;
  const std::byte* from = nullptr;  ///< at least one of the two is on a device; the other is pinned, if the host's
  std::size_t bytes = 0;
  /// Runs once, on the loop, when the device has let go of both. kExhausted or kUnavailable: the driver's error.
  absl::AnyInvocable<void(Status)> done;
};

class CopyLanes {
 public:
  CopyLanes(const CudaDriver& driver, net::EventLoop& loop) : driver_(driver), loop_(loop) {}
  ~CopyLanes() { close(); }

  /// Begins the copy, or lets it wait for a lane, in order. `done` never runs inside this call.
  void push(DeviceCopy copy);
  /// Takes a copy out that has not begun; its `done` is destroyed. @return false if it has begun, or is none.
  bool cancel(std::uint64_t id);
  /// Ends the copies on a segment that have not begun; `done` runs inside this call.
  void revoke(SegmentHandle segment, const Status& why);
  /// Waits until the devices have let go of all memory. A device that hangs is waited for.
  void wait();
  /// The same; then every `done` runs, inside this call.
  void close();

 private:
  struct Lane {
    CudaStream stream = nullptr;
    DeviceCopy copy;
    bool busy = false;
    std::atomic<bool> over{false};  // set by the driver's thread
    int events = -1;                // the eventfd, for that thread
  };
  struct Device {
    PrimaryContext context;
    std::vector<std::unique_ptr<Lane>> lanes;
  };

  static void on_copied(void* lane);  // on a thread of the driver
  void begin_waiting();
  /// Takes a free lane for it. False: all are busy; it waits.
  bool begin(DeviceCopy& copy);
  Status issue(const Device& device, Lane& lane);
  Result<Device*> device(int ordinal);
  Status open_lanes(Device& device);
  void close_lanes(Device& device);
  Status watch();
  void wait_events();
  void reap();
  void plan_check();
  void check_devices();
  void finish(Lane& lane, const Status& status);
  void finish_later(DeviceCopy copy, Status status);

  const CudaDriver& driver_;
  net::EventLoop& loop_;
  std::unique_ptr<net::FdWatch> events_;  // made for the first copy
  std::map<int, Device> devices_;         // places stay while copies that end begin others
  std::deque<DeviceCopy> waiting_;
  std::deque<std::pair<DeviceCopy, Status>> failed_;            // never begun; reported in a turn of their own
  bool checking_ = false;                                       // check_devices() is due
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // told to posted tasks
};

}  // namespace mooncake::transfer
