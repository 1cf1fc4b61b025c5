// RdmaHost: what the peers of one engine share of RDMA: its devices and their ports, registered memory, the endpoints
// that are open, and the descriptors that the loop watches for all of them. Nothing is polled.
//
// Opened before the loop starts; from start() on loop thread only.
#pragma once

#include <absl/container/flat_hash_map.h>
#include <absl/container/flat_hash_set.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "net/event_loop.h"
#include "transfer/rdma/endpoint_pool.h"
#include "transfer/rdma/queue_pair.h"
#include "transfer/rdma/rdma_device.h"
#include "transfer/segment_table.h"
#include "transfer/shm/pool_set.h"

namespace mooncake::transfer {

/// Endpoints that one engine has opened: a cluster's worth of peers. A NIC keeps the state of some hundred queue pairs
/// in its own memory, and slows down above that (Kalia et al., USENIX ATC '16).
inline constexpr std::size_t kEndpointsOpenMax = 256;

class RdmaHost {
 public:
  /// A part of a peer that uses ports.
  class User {
   public:
    virtual ~User() = default;
    /// A port of ours went up or down.
    virtual void on_ports_changed() = 0;
    /// True if the endpoint carries nothing.
    [[nodiscard]] virtual bool idle(std::uint64_t endpoint) const = 0;
    /// Another endpoint needs its place: close it.
    virtual void evict(std::uint64_t endpoint) = 0;
  };

  /// A port and its device.
  struct Port {
    RdmaDevice* device = nullptr;
    std::size_t number = 0;  ///< in device->ports()
    [[nodiscard]] const RdmaPort& state() const { return device->ports()[number]; }
  };

  using LoadVerbs = Result<const Verbs*> (*)();

  /// Opens the devices that `devices` names: "auto" for all there are, or names with commas between them. `load` is
  /// not asked where there is no device to open.
  /// @return null if auto finds none; kUnavailable if one that is named is not there or cannot be used.
  static Result<std::unique_ptr<RdmaHost>> open(const std::string& devices, SegmentTable& segments,
                                                const PoolSet& pools, LoadVerbs load = load_verbs);

  /// Begins to watch the devices.
  void start(net::EventLoop& loop);
  /// Lets go of all memory and devices. Every user is gone.
  void close();

  [[nodiscard]] const std::vector<Port>& ports() const { return ports_; }
  /// The ports as an operator knows them: "mlx5_0:1".
  [[nodiscard]] std::vector<std::string> port_names() const;
  /// The device of each port: "mlx5_0".
  [[nodiscard]] std::vector<std::string> device_names() const;
  /// What peers are told of the ports.
  [[nodiscard]] std::vector<RdmaAddress> addresses() const;

  void add(User& user) { users_.insert(&user); }
  void remove(User& user) { users_.erase(&user); }

  /// A place for one more endpoint, whose id is new; takes it from an idle one at kEndpointsOpenMax.
  /// @return kExhausted if all carry something.
  Result<std::uint64_t> take_place(User& user);
  /// No place is free: the next one is somebody else's.
  [[nodiscard]] bool full() const { return endpoints_.full(); }
  void use_place(std::uint64_t endpoint) { endpoints_.use(endpoint); }
  void free_place(std::uint64_t endpoint);

  /// The registration of what `memory` is a part of: its shared pool, or else its segment; `right` counts for a GPU's
  /// memory. @return kStale if it is in none any more, or why it cannot be registered.
  Result<RegistrationPtr> registration(RdmaDevice& device, ByteSpan memory, RemoteRight right = RemoteRight::kNone);
  /// Whether every device that has a port up can move memory of a GPU itself; with any of them a slice may go.
  bool reaches_gpu(ByteSpan memory);
  /// The segment or shared pool is gone.
  void drop(const AreaKey& area);

  /// Deletes a closed queue pair after the event that it may be in the middle of.
  void retire(std::unique_ptr<QueuePair> pair);

 private:
  RdmaHost(SegmentTable& segments, const PoolSet& pools) : segments_(segments), pools_(pools) {}

  Status open_devices(const std::string& devices, LoadVerbs load);
  void watch(RdmaDevice& device);
  void wait_completions(RdmaDevice& device, net::FdWatch& watch);
  void wait_faults(RdmaDevice& device, net::FdWatch& watch);
  void on_fault(RdmaDevice& device, const ibv_async_event& event);

  SegmentTable& segments_;
  const PoolSet& pools_;
  net::EventLoop* loop_ = nullptr;
  std::vector<std::unique_ptr<RdmaDevice>> devices_;
  std::vector<Port> ports_;
  std::vector<std::unique_ptr<net::FdWatch>> watches_;
  absl::flat_hash_set<User*> users_;
  EndpointPool endpoints_{kEndpointsOpenMax};
  absl::flat_hash_map<std::uint64_t, User*> owners_;
  std::uint64_t last_endpoint_ = 0;
};

}  // namespace mooncake::transfer
