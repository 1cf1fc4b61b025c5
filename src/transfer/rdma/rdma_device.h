// RdmaDevice: one opened RDMA device, with its ports.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/status.h"
#include "transfer/rdma/rdma_frame.h"
#include "transfer/rdma/registration_cache.h"
#include "transfer/rdma/verbs.h"

namespace mooncake::transfer {

/// One port of a device, as it was when last asked.
struct RdmaPort {
  std::uint8_t number = 1;  ///< in the device, from 1
  std::uint8_t gid_index = 0;
  RdmaAddress address;
};

class RdmaDevice {
 public:
  /// Opens it. @return kUnavailable with the reason.
  static Result<std::unique_ptr<RdmaDevice>> open(const Verbs& verbs, ibv_device* device);
  /// Every queue pair and registration on it must be gone.
  ~RdmaDevice();
  RdmaDevice(const RdmaDevice&) = delete;
  RdmaDevice& operator=(const RdmaDevice&) = delete;

  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] const Verbs& verbs() const { return verbs_; }
  [[nodiscard]] ibv_context* context() const { return context_; }
  [[nodiscard]] ibv_pd* domain() const { return domain_; }
  [[nodiscard]] ibv_comp_channel* channel() const { return channel_; }
  /// Memory windows of type 2: access is granted to one range, and taken back. Without them it is all registered
  /// memory or the queue pair.
  [[nodiscard]] bool has_windows() const { return windows_; }
  /// Reads that one queue pair may have in flight.
  [[nodiscard]] std::uint8_t reads_at_once() const { return reads_at_once_; }
  [[nodiscard]] const std::vector<RdmaPort>& ports() const { return ports_; }
  RegistrationCache& registrations() { return *registrations_; }

  /// Asks the device again for the state and address of each port.
  void refresh();

 private:
  RdmaDevice(const Verbs& verbs, ibv_context* context, std::string name);
  Status set_up();
  [[nodiscard]] RdmaPort query(std::uint8_t number) const;
  void choose_gid(RdmaPort& port, int gids) const;

  const Verbs& verbs_;
  ibv_context* context_;
  const std::string name_;
  ibv_pd* domain_ = nullptr;
  ibv_comp_channel* channel_ = nullptr;
  bool windows_ = false;
  std::uint8_t reads_at_once_ = 1;
  std::vector<RdmaPort> ports_;
  std::unique_ptr<RegistrationCache> registrations_;
};

}  // namespace mooncake::transfer
