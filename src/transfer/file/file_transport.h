// FileTransport: bulk between memory and the files of this engine. Continues what the system did in part, keeps direct
// and buffered writes apart, and tells the system's errors as ours. Loop thread only.
#pragma once

#include <absl/container/flat_hash_map.h>

#include <memory>
#include <string_view>

#include "transfer/context.h"
#include "transfer/file/file_queue.h"
#include "transfer/file/write_gate.h"
#include "transfer/stats/rail_counters.h"
#include "transfer/transport.h"

namespace mooncake::transfer {

/// Interrupted tries of one slice (EINTR, EAGAIN) before that counts as an error.
inline constexpr int kFileRetriesMax = 16;

class FileTransport final : public Transport {
 public:
  /// The queue is made for the first slice: an engine without files has none.
  FileTransport(Context& context, SliceSink& sink, FileQueueFactory make_queue)
      : context_(context),
        sink_(sink),
        make_queue_(std::move(make_queue)),
        counters_(context.stats.paths, context.config.node_name, "file", {""}) {}

  [[nodiscard]] std::string_view name() const override { return "file"; }
  void start(SliceId id, const Slice& slice) override;
  Abandoned abandon(SliceId id, const Slice& slice) override;
  /// Ends what goes on with the file; it is reported when the kernel has let go.
  void revoke(SegmentHandle segment);
  void pool_gone(std::uint64_t pool);
  /// Waits until the kernel has let go of all memory. Nothing is reported any more.
  void close();

 private:
  struct Running {
    Slice slice;
    const OpenFile* file = nullptr;  // held in the SegmentTable
    std::size_t moved = 0;           // bytes
    int retries = 0;
    bool direct = false;         // how the operation in the queue goes
    bool buffered_only = false;  // the file system refused direct access after all
    Status stopped;              // why it shall not go on
  };

  void issue(std::uint64_t id);
  void submit(std::uint64_t id);
  void leave_gate(FileId file);
  void on_completed(std::uint64_t id, std::int64_t moved);
  bool goes_on(Running& running, std::int64_t moved);
  Status outcome(const Running& running, std::int64_t moved) const;
  bool stop(std::uint64_t id, const Status& why);
  void finish(std::uint64_t id, const Status& status);

  Context& context_;
  SliceSink& sink_;
  FileQueueFactory make_queue_;
  RailCounters counters_;
  std::unique_ptr<FileQueue> queue_;
  WriteGate gate_;
  absl::flat_hash_map<std::uint64_t, Running> running_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // told to posted tasks
};

}  // namespace mooncake::transfer
