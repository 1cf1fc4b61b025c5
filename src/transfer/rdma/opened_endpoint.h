// OpenedEndpoint: the moving end of one endpoint; see rdma_transport.h. Loop thread only.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "transfer/rail/rail_monitor.h"
#include "transfer/rdma/rdma_host.h"
#include "transfer/transport.h"

namespace mooncake::transfer {

class OpenedEndpoint final : public QueuePair::Sink {
 public:
  struct Hooks {
    /// The operation of a slice is over: the device does not touch its memory any more.
    std::function<void(std::uint64_t slice)> moved;
    /// It is no use any more; kStale: an operation was refused by the other device. Not from inside a call to it.
    std::function<void(const Status& why)> failed;
  };

  OpenedEndpoint(RdmaHost& host, net::EventLoop& loop, RailId rail, Hooks hooks)
      : host_(host), loop_(loop), rail_(rail), hooks_(std::move(hooks)) {}
  ~OpenedEndpoint() override { close(); }

  /// Makes the queue pair. @return what the peer must know of it.
  Result<RdmaEnd> open(const RdmaHost::Port& port);
  /// The peer's end. @return kUnavailable, or kCorrupt if the peer asks for more than we can.
  Status connect(const RdmaEnd& peer);
  [[nodiscard]] bool connected() const { return connected_; }
  [[nodiscard]] RailId rail() const { return rail_; }

  /// Slices that wait for it to be connected.
  std::vector<std::uint64_t> waiting;
  /// Slices that have to do with it, these included.
  std::size_t slices = 0;

  /// Posts the operation of a slice. `local` is the device's until moved(), or close().
  void move(std::uint64_t id, const Slice& slice, const Registration& registration, const RdmaGranted& granted);
  /// Tells the other end that a grant is over.
  void give_back(const RdmaGranted& granted, bool moved);
  /// Lets go of all memory at once.
  void close();

 private:
  void on_completion(const ibv_wc& completion) override;
  void on_fault(std::string_view what) override { fail_soon({Code::kUnavailable, std::string(what)}); }
  void fail_soon(const Status& why);

  RdmaHost& host_;
  net::EventLoop& loop_;
  const RailId rail_;
  Hooks hooks_;
  const Verbs* verbs_ = nullptr;
  std::unique_ptr<QueuePair> pair_;
  RdmaEnd end_;
  bool connected_ = false;
  bool failed_ = false;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // told to posted tasks
};

}  // namespace mooncake::transfer
