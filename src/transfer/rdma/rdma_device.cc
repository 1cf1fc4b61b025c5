#include "transfer/rdma/rdma_device.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "transfer/fd.h"

namespace mooncake::transfer {
namespace {

/// Reads in flight beyond that add nothing: 16 of 1 MiB are more than any path holds.
constexpr int kReadsAtOnceMax = 16;
/// Ports that a device is asked for; none has more than two.
constexpr std::uint8_t kDevicePortsMax = 2;
/// Entries of a port's table of addresses that are looked at; soft-RoCE has 1024, nearly all empty.
constexpr int kGidsMax = 64;

Status unavailable(std::string_view name, std::string_view what, int error) {
  return {Code::kUnavailable, fmt::format("rdma: {}: {}: {}", name, what, errno_text(error))};
}

/// How good an address is: routable IPv4, then other IPv6, then link-local; 0 if peers cannot use it.
int rank(const ibv_gid_entry& entry, bool infiniband) {
  if (infiniband) return entry.gid_type == IBV_GID_TYPE_IB ? 1 : 0;
  if (entry.gid_type != IBV_GID_TYPE_ROCE_V2) return 0;
  static constexpr std::array<std::uint8_t, 12> kMappedIpv4 = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  if (std::memcmp(entry.gid.raw, kMappedIpv4.data(), kMappedIpv4.size()) == 0) return 3;
  return entry.gid.raw[0] == 0xfe && entry.gid.raw[1] == 0x80 ? 1 : 2;
}

}  // namespace

RdmaDevice::RdmaDevice(const Verbs& verbs, ibv_context* context, std::string name)
    : verbs_(verbs), context_(context), name_(std::move(name)) {}

Result<std::unique_ptr<RdmaDevice>> RdmaDevice::open(const Verbs& verbs, ibv_device* device) {
  const std::string name = verbs.get_device_name(device);
  ibv_context* context = verbs.open_device(device);
  if (context == nullptr) return unavailable(name, "cannot be opened", errno);
  std::unique_ptr<RdmaDevice> opened(new RdmaDevice(verbs, context, name));
  MC_RETURN_IF_ERROR(opened->set_up());
  return opened;
}

Status RdmaDevice::set_up() {
  ibv_device_attr attributes{};
  if (const int error = verbs_.query_device(context_, &attributes); error != 0) {
    return unavailable(name_, "ibv_query_device", error);
  }
  // 2A would do as well, but leaves the check of the queue pair's domain out; no device has only that.
  windows_ = (attributes.device_cap_flags & IBV_DEVICE_MEM_WINDOW_TYPE_2B) != 0 && attributes.max_mw > 0;
  const int reads = std::min({attributes.max_qp_rd_atom, attributes.max_qp_init_rd_atom, kReadsAtOnceMax});
  reads_at_once_ = static_cast<std::uint8_t>(std::max(reads, 1));
  domain_ = verbs_.alloc_pd(context_);
  if (domain_ == nullptr) return unavailable(name_, "ibv_alloc_pd", errno);
  channel_ = verbs_.create_comp_channel(context_);
  if (channel_ == nullptr) return unavailable(name_, "ibv_create_comp_channel", errno);
  for (const int fd : {channel_->fd, context_->async_fd}) ::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) | O_NONBLOCK);
  const int access =
      IBV_ACCESS_LOCAL_WRITE | (windows_ ? IBV_ACCESS_MW_BIND : IBV_ACCESS_REMOTE_READ | IBV_ACCESS_REMOTE_WRITE);
  registrations_ = std::make_unique<RegistrationCache>(verbs_, domain_, access);
  for (std::uint8_t number = 1; number <= std::min(attributes.phys_port_cnt, kDevicePortsMax); ++number) {
    ports_.push_back(query(number));
  }
  return {};
}

RdmaDevice::~RdmaDevice() {
  registrations_.reset();
  if (channel_ != nullptr) verbs_.destroy_comp_channel(channel_);
  if (domain_ != nullptr) verbs_.dealloc_pd(domain_);
  verbs_.close_device(context_);
}

void RdmaDevice::refresh() {
  for (RdmaPort& port : ports_) port = query(port.number);
}

RdmaPort RdmaDevice::query(std::uint8_t number) const {
  RdmaPort port{.number = number, .address = {}};
  ibv_port_attr attributes{};
  // The library knows the beginning of the structure only; the rest is the business of drivers, and stays zero.
  auto* const known = reinterpret_cast<_compat_ibv_port_attr*>(&attributes);
  if ((verbs_.query_port)(context_, number, known) != 0) return port;
  port.address.lid = attributes.lid;
  port.address.mtu = static_cast<std::uint8_t>(std::clamp<int>(attributes.active_mtu, IBV_MTU_256, IBV_MTU_4096));
  port.address.infiniband = attributes.link_layer == IBV_LINK_LAYER_INFINIBAND;
  port.address.up = attributes.state == IBV_PORT_ACTIVE;
  choose_gid(port, attributes.gid_tbl_len);
  return port;
}

void RdmaDevice::choose_gid(RdmaPort& port, int gids) const {
  int best = 0;
  for (int index = 0; index < std::min(gids, kGidsMax); ++index) {
    ibv_gid_entry entry{};
    if (verbs_.query_gid(context_, port.number, static_cast<std::uint32_t>(index), &entry, 0, sizeof entry) != 0) {
      continue;  // an empty place
    }
    const int how_good = rank(entry, port.address.infiniband);
    if (how_good <= best) continue;
    best = how_good;
    port.gid_index = static_cast<std::uint8_t>(index);
    std::memcpy(port.address.gid.data(), entry.gid.raw, port.address.gid.size());
  }
  if (best == 0) port.address.up = false;  // nobody could reach it
}

}  // namespace mooncake::transfer
