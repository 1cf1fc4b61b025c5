#include "transfer/cuda/copy_lanes.h"

#include <fmt/format.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <cerrno>

#include "base/log.h"
#include "transfer/cuda/device_pointer.h"
#include "transfer/fd.h"

namespace mooncake::transfer {

void CopyLanes::push(DeviceCopy copy) {
  waiting_.push_back(std::move(copy));
  begin_waiting();
}

/// Copies of a device whose lanes are all busy do not keep those of another waiting.
void CopyLanes::begin_waiting() {
  for (auto next = waiting_.begin(); next != waiting_.end();) {
    next = begin(*next) ? waiting_.erase(next) : std::next(next);
  }
}

bool CopyLanes::begin(DeviceCopy& copy) {
  std::optional<int> ordinal = device_of(driver_, copy.to);
  if (!ordinal.has_value()) ordinal = device_of(driver_, copy.from);
  if (!ordinal.has_value()) {
    // It was freed under its registration, or the driver answers nothing any more.
    std::uint32_t type = 0;
    const CudaResult error = driver_.PointerGetAttribute(&type, kCudaPointerMemoryType, cuda_address(copy.to));
    finish_later(std::move(copy), cuda_error(driver_, error, "a copy of which neither end is a GPU's (any more)"));
    return true;
  }
  Result<Device*> on = device(*ordinal);
  if (!on.ok()) {
    finish_later(std::move(copy), on.status());
    return true;
  }
  const auto lane = std::ranges::find_if((*on)->lanes, [](const auto& each) { return !each->busy; });
  if (lane == (*on)->lanes.end()) return false;
  (*lane)->copy = std::move(copy);
  if (const Status status = issue(**on, **lane); !status.ok()) finish_later(std::move((*lane)->copy), status);
  return true;
}

Status CopyLanes::issue(const Device& device, Lane& lane) {
  const CudaScope scope(driver_, device.context.get());
  const DeviceCopy& copy = lane.copy;
  CudaResult error = driver_.MemcpyAsync(cuda_address(copy.to), cuda_address(copy.from), copy.bytes, lane.stream);
  if (error != CudaResult::kSuccess) {
    return cuda_error(driver_, error, fmt::format("copying {} bytes", copy.bytes));
  }
  lane.busy = true;
  lane.over = false;
  error = driver_.LaunchHostFunc(lane.stream, &CopyLanes::on_copied, &lane);
  if (error == CudaResult::kSuccess) {
    plan_check();
    return {};
  }
  // Nobody would say when the copy is over, and until then the memory cannot be given back.
  static_cast<void>(driver_.StreamSynchronize(lane.stream));
  lane.busy = false;
  return cuda_error(driver_, error, "waiting for a copy");
}

void CopyLanes::on_copied(void* user) {
  auto* const lane = static_cast<Lane*>(user);
  const int events = lane->events;
  lane->over.store(true, std::memory_order_release);
  static_cast<void>(::eventfd_write(events, 1));
}

Result<CopyLanes::Device*> CopyLanes::device(int ordinal) {
  if (const auto found = devices_.find(ordinal); found != devices_.end()) return &found->second;
  if (!events_) MC_RETURN_IF_ERROR(watch());
  MC_ASSIGN_OR_RETURN(PrimaryContext context, PrimaryContext::retain(driver_, ordinal));
  Device made{.context = std::move(context), .lanes = {}};
  if (const Status status = open_lanes(made); !status.ok()) {
    close_lanes(made);
    return status;
  }
  return &devices_.emplace(ordinal, std::move(made)).first->second;
}

Status CopyLanes::open_lanes(Device& device) {
  const CudaScope scope(driver_, device.context.get());
  for (std::size_t i = 0; i < kLanesPerDevice; ++i) {
    auto lane = std::make_unique<Lane>();
    const CudaResult error = driver_.StreamCreate(&lane->stream, kCudaStreamNonBlocking);
    if (error != CudaResult::kSuccess) return cuda_error(driver_, error, "cuStreamCreate");
    lane->events = events_->fd();
    device.lanes.push_back(std::move(lane));
  }
  return {};
}

Status CopyLanes::watch() {
  UniqueFd events(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  if (!events.valid()) return {Code::kExhausted, fmt::format("cuda: eventfd: {}", errno_text(errno))};
  MC_ASSIGN_OR_RETURN(events_, loop_.watch(std::move(events)));
  wait_events();
  return {};
}

void CopyLanes::wait_events() {
  events_->wait_readable([this, alive = std::weak_ptr(alive_)] {
    if (alive.expired()) return;
    eventfd_t count = 0;
    static_cast<void>(::eventfd_read(events_->fd(), &count));
    reap();
    if (!alive.expired() && events_) wait_events();
  });
}

void CopyLanes::reap() {
  const std::weak_ptr alive(alive_);
  for (auto& [ordinal, device] : devices_) {
    for (const auto& lane : device.lanes) {
      if (lane->busy && lane->over.load(std::memory_order_acquire)) finish(*lane, {});
      if (alive.expired()) return;
    }
  }
  begin_waiting();
}

void CopyLanes::finish(Lane& lane, const Status& status) {
  auto done = std::move(lane.copy.done);
  lane.copy = {};
  lane.busy = false;
  done(status);
}

void CopyLanes::finish_later(DeviceCopy copy, Status status) {
  failed_.emplace_back(std::move(copy), std::move(status));
  loop_.post([this, alive = std::weak_ptr(alive_)] {
    if (alive.expired() || failed_.empty()) return;
    auto [failed, why] = std::move(failed_.front());
    failed_.pop_front();
    failed.done(why);
    if (!alive.expired()) begin_waiting();  // its lane is free
  });
}

void CopyLanes::plan_check() {
  if (std::exchange(checking_, true)) return;
  loop_.post_at(loop_.clock().now() + kDeviceCheck, [this, alive = std::weak_ptr(alive_)] {
    if (!alive.expired()) check_devices();
  });
}

void CopyLanes::check_devices() {
  checking_ = false;
  const std::weak_ptr alive(alive_);
  for (auto& [ordinal, device] : devices_) {
    const CudaScope scope(driver_, device.context.get());
    for (const auto& lane : device.lanes) {
      if (!lane->busy || lane->over.load(std::memory_order_acquire)) continue;
      plan_check();
      const CudaResult state = driver_.StreamQuery(lane->stream);
      if (state == CudaResult::kSuccess || state == CudaResult::kNotReady) continue;
      const Status why = cuda_error(driver_, state, fmt::format("a copy on GPU {} failed", ordinal));
      log_warn("transfer: {}; the process must start again to use that GPU", why.message());
      finish(*lane, why);
      if (alive.expired()) return;
    }
  }
  begin_waiting();
}

bool CopyLanes::cancel(std::uint64_t id) {
  const auto waits = std::ranges::find(waiting_, id, &DeviceCopy::id);
  if (waits != waiting_.end()) {
    waiting_.erase(waits);
    return true;
  }
  return false;
}

void CopyLanes::revoke(SegmentHandle segment, const Status& why) {
  for (;;) {
    const auto found = std::ranges::find(waiting_, segment, &DeviceCopy::segment);
    if (found == waiting_.end()) return;
    auto done = std::move(found->done);
    waiting_.erase(found);
    done(why);
  }
}

void CopyLanes::close_lanes(Device& device) {
  const CudaScope scope(driver_, device.context.get());
  for (const auto& lane : device.lanes) {
    static_cast<void>(driver_.StreamSynchronize(lane->stream));
    static_cast<void>(driver_.StreamDestroy(lane->stream));
  }
}

void CopyLanes::wait() {
  for (auto& [ordinal, device] : devices_) {
    const CudaScope scope(driver_, device.context.get());
    for (const auto& lane : device.lanes) {
      if (lane->busy) static_cast<void>(driver_.StreamSynchronize(lane->stream));
    }
  }
}

void CopyLanes::close() {
  alive_.reset();
  std::vector<DeviceCopy> over;
  for (auto& [ordinal, device] : devices_) {
    close_lanes(device);
    for (const auto& lane : device.lanes) {
      if (lane->busy) over.push_back(std::move(lane->copy));
    }
  }
  devices_.clear();
  if (events_) events_->close();
  events_.reset();
  for (DeviceCopy& copy : std::exchange(waiting_, {})) over.push_back(std::move(copy));
  for (auto& [copy, status] : std::exchange(failed_, {})) over.push_back(std::move(copy));
  for (DeviceCopy& copy : over) copy.done({Code::kCancelled, "the transfer engine ends"});
}

}  // namespace mooncake::transfer
