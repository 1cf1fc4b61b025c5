// RingQueue: file operations by io_uring, one ring an engine. What one turn of the loop submits goes to the kernel in
// one system call; completions wake the loop through an eventfd. No thread of its own, no busy waiting.
#pragma once

#include <absl/container/flat_hash_map.h>
#include <liburing.h>

#include <deque>
#include <memory>
#include <optional>

#include "base/status.h"
#include "transfer/file/file_queue.h"
#include "transfer/file/fixed_buffers.h"

namespace mooncake::transfer {

class RingQueue final : public FileQueue {
 public:
  /// @return kUnsupported if this process may not use io_uring, or the kernel has none: the message says why.
  static Result<std::unique_ptr<FileQueue>> create(net::EventLoop& loop, const PoolSet& pools, Completed completed);
  ~RingQueue() override;

  void submit(const FileOp& op) override;
  void cancel(std::uint64_t id) override;
  void pool_gone(std::uint64_t pool) override { fixed_->pool_gone(pool); }

 private:
  RingQueue(net::EventLoop& loop, Completed completed) : loop_(loop), completed_(std::move(completed)) {}

  Status open(const PoolSet& pools);
  void plan_flush();
  void flush();
  void prepare(const FileOp& op);
  void prepare_cancel(std::uint64_t id);
  void enter_kernel();
  void wait_for_events();
  void on_events();
  std::optional<std::int64_t> reap(const io_uring_cqe& entry, std::uint64_t& id);

  net::EventLoop& loop_;
  const Completed completed_;
  io_uring ring_{};
  bool open_ = false;
  std::unique_ptr<net::FdWatch> events_;
  std::optional<FixedBuffers> fixed_;
  bool flush_planned_ = false;
  std::deque<FileOp> waiting_;                                  // in order
  absl::flat_hash_map<std::uint64_t, bool> in_kernel_;          // and whether its cancellation was asked for
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // told to posted tasks
};

}  // namespace mooncake::transfer
