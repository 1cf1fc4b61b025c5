#include "transfer/rdma/rdma_host.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <span>

#include "base/log.h"

namespace mooncake::transfer {
namespace {

/// Where the kernel shows RDMA devices. Looked at before libibverbs, so that a machine without pays nothing.
constexpr const char* kSysDevices = "/sys/class/infiniband";

std::vector<std::string> split(const std::string& names) {
  std::vector<std::string> parts;
  std::size_t begin = 0;
  while (begin <= names.size()) {
    const std::size_t end = std::min(names.find(',', begin), names.size());
    if (end > begin) parts.push_back(names.substr(begin, end - begin));
    begin = end + 1;
  }
  return parts;
}

bool any_device() {
  std::error_code error;
  const std::filesystem::directory_iterator devices(kSysDevices, error);
  return !error && devices != std::filesystem::directory_iterator();
}

/// libibverbs' list of devices, freed with this.
class DeviceList {
 public:
  explicit DeviceList(const Verbs& verbs) : verbs_(verbs), list_(verbs.get_device_list(&count_)) {}
  ~DeviceList() {
    if (list_ != nullptr) verbs_.free_device_list(list_);
  }
  DeviceList(const DeviceList&) = delete;
  DeviceList& operator=(const DeviceList&) = delete;

  [[nodiscard]] std::span<ibv_device* const> all() const {
    return {list_, list_ == nullptr ? 0 : static_cast<std::size_t>(count_)};
  }
  [[nodiscard]] ibv_device* find(const std::string& name) const {
    for (ibv_device* device : all()) {
      if (name == verbs_.get_device_name(device)) return device;
    }
    return nullptr;
  }

 private:
  const Verbs& verbs_;
  int count_ = 0;
  ibv_device** list_;
};

}  // namespace

Result<std::unique_ptr<RdmaHost>> RdmaHost::open(const std::string& devices, SegmentTable& segments,
                                                 const PoolSet& pools, LoadVerbs load) {
  std::unique_ptr<RdmaHost> host(new RdmaHost(segments, pools));
  if (devices != "auto") {
    MC_RETURN_IF_ERROR(host->open_devices(devices, load));
    return host;
  }
  if (!any_device()) return std::unique_ptr<RdmaHost>();
  if (const Status status = host->open_devices("", load); !status.ok()) {
    log_warn("transfer: {}; bulk goes by other means", status.message());
    return std::unique_ptr<RdmaHost>();
  }
  return host->ports_.empty() ? nullptr : std::move(host);
}

Status RdmaHost::open_devices(const std::string& devices, LoadVerbs load) {
  MC_ASSIGN_OR_RETURN(const Verbs* verbs, load());
  const DeviceList list(*verbs);
  std::vector<ibv_device*> chosen(list.all().begin(), list.all().end());
  if (!devices.empty()) chosen.clear();
  for (const std::string& name : split(devices)) {
    chosen.push_back(list.find(name));
    if (chosen.back() == nullptr) return {Code::kUnavailable, fmt::format("rdma: there is no device {}", name)};
  }
  for (ibv_device* each : chosen) {
    Result<std::unique_ptr<RdmaDevice>> device = RdmaDevice::open(*verbs, each);
    if (!device.ok() && !devices.empty()) return device.status();
    if (!device.ok()) {
      log_warn("transfer: {}", device.status().message());
      continue;
    }
    devices_.push_back(std::move(*device));
    for (std::size_t i = 0; i < devices_.back()->ports().size() && ports_.size() < kRdmaPortsMax; ++i) {
      ports_.push_back({devices_.back().get(), i});
    }
  }
  return {};
}

void RdmaHost::start(net::EventLoop& loop) {
  loop_ = &loop;
  for (const auto& device : devices_) watch(*device);
}

void RdmaHost::watch(RdmaDevice& device) {
  // The loop closes what it watches, and so does the library: each has a descriptor of its own.
  for (const int fd : {device.channel()->fd, device.context()->async_fd}) {
    Result<std::unique_ptr<net::FdWatch>> watched = loop_->watch(UniqueFd(::fcntl(fd, F_DUPFD_CLOEXEC, 0)));
    if (!watched.ok()) return log_error("transfer: rdma: {}: {}", device.name(), watched.status().to_string());
    watches_.push_back(std::move(*watched));
    if (fd == device.channel()->fd) {
      wait_completions(device, *watches_.back());
    } else {
      wait_faults(device, *watches_.back());
    }
  }
}

void RdmaHost::wait_completions(RdmaDevice& device, net::FdWatch& watch) {
  watch.wait_readable([this, &device, &watch] {
    ibv_cq* queue = nullptr;
    void* user = nullptr;
    while (device.verbs().get_cq_event(device.channel(), &queue, &user) == 0) {
      device.verbs().ack_cq_events(queue, 1);
      static_cast<QueuePair*>(user)->on_event();
    }
    if (watch.fd() >= 0) wait_completions(device, watch);
  });
}

void RdmaHost::wait_faults(RdmaDevice& device, net::FdWatch& watch) {
  watch.wait_readable([this, &device, &watch] {
    ibv_async_event event{};
    while (device.verbs().get_async_event(device.context(), &event) == 0) {
      // What it names cannot go before it is acknowledged, and is ours to close: so it is acknowledged first, and
      // nothing else runs in between.
      device.verbs().ack_async_event(&event);
      on_fault(device, event);
    }
    if (watch.fd() >= 0) wait_faults(device, watch);
  });
}

void RdmaHost::on_fault(RdmaDevice& device, const ibv_async_event& event) {
  const char* const what = device.verbs().event_type_str(event.event_type);
  switch (event.event_type) {
    case IBV_EVENT_QP_FATAL:
    case IBV_EVENT_QP_REQ_ERR:
    case IBV_EVENT_QP_ACCESS_ERR:
      return static_cast<QueuePair*>(event.element.qp->qp_context)->on_fault(what);
    case IBV_EVENT_PORT_ACTIVE:
    case IBV_EVENT_PORT_ERR:
    case IBV_EVENT_LID_CHANGE:
    case IBV_EVENT_GID_CHANGE:
    case IBV_EVENT_DEVICE_FATAL: {
      log_info("transfer: rdma: {}: {}", device.name(), what);
      device.refresh();
      const std::vector<User*> users(users_.begin(), users_.end());
      for (User* user : users) user->on_ports_changed();
      return;
    }
    default:
      return;
  }
}

void RdmaHost::close() {
  CHECK(users_.empty());
  for (const auto& watch : watches_) watch->close();
  watches_.clear();
}

std::vector<std::string> RdmaHost::port_names() const {
  std::vector<std::string> names;
  for (const Port& port : ports_) names.push_back(fmt::format("{}:{}", port.device->name(), port.state().number));
  return names;
}

std::vector<std::string> RdmaHost::device_names() const {
  std::vector<std::string> names;
  for (const Port& port : ports_) names.push_back(port.device->name());
  return names;
}

std::vector<RdmaAddress> RdmaHost::addresses() const {
  std::vector<RdmaAddress> addresses;
  for (const Port& port : ports_) addresses.push_back(port.state().address);
  return addresses;
}

Result<std::uint64_t> RdmaHost::take_place(User& user) {
  if (endpoints_.full()) {
    const auto idle = [this](std::uint64_t id) { return owners_.at(id)->idle(id); };
    const std::uint64_t victim = endpoints_.victim(idle);
    if (victim == 0) {
      return Status(Code::kExhausted,
                    fmt::format("{} RDMA endpoints are open and busy, the most there can be", kEndpointsOpenMax));
    }
    owners_.at(victim)->evict(victim);
  }
  endpoints_.add(++last_endpoint_);
  owners_[last_endpoint_] = &user;
  return last_endpoint_;
}

void RdmaHost::free_place(std::uint64_t endpoint) {
  endpoints_.remove(endpoint);
  owners_.erase(endpoint);
}

Result<RegistrationPtr> RdmaHost::registration(RdmaDevice& device, ByteSpan memory, RemoteRight right) {
  const Instant now = loop_->clock().now();
  if (const auto place = pools_.find(memory); place.has_value()) {
    return device.registrations().get({.segment = {}, .pool = place->pool}, place->memory, now);
  }
  const auto area = segments_.area_of(memory);
  if (!area.has_value()) return Status(Code::kStale, "the memory lies in no segment any more");
  const AreaKey key{.segment = area->segment, .pool = 0};
  if (area->kind == MemoryKind::kHost) return device.registrations().get(key, area->memory, now);
  return device.registrations().get_gpu(key, area->memory, right, now);
}

bool RdmaHost::reaches_gpu(ByteSpan memory) {
  return std::ranges::all_of(
      ports_, [&](const Port& port) { return !port.state().address.up || registration(*port.device, memory).ok(); });
}

void RdmaHost::drop(const AreaKey& area) {
  for (const auto& device : devices_) device->registrations().drop(area);
}

void RdmaHost::retire(std::unique_ptr<QueuePair> pair) {
  CHECK(!pair->open());
  loop_->post([pair = std::move(pair)] {});
}

}  // namespace mooncake::transfer
