#include "transfer/file/file_transport.h"

#include <fmt/format.h>

#include <cerrno>

#include "transfer/file/file_error.h"

namespace mooncake::transfer {
namespace {

bool writes(const Slice& slice) { return slice.op == TransferRequest::Op::kWrite; }

}  // namespace

void FileTransport::start(SliceId slice_id, const Slice& slice) {
  const auto id = static_cast<std::uint64_t>(slice_id);
  sink_.on_slice_path(slice_id, counters_[0]);
  const Result<const OpenFile*> file =
      context_.segments.acquire_file(slice.remote, writes(slice) ? Access::kWrite : Access::kRead);
  if (!file.ok()) {
    context_.loop->post([this, slice_id, status = file.status(), alive = std::weak_ptr(alive_)] {
      if (!alive.expired()) sink_.on_slice_done(slice_id, status);
    });
    return;
  }
  if (!queue_) {
    queue_ = make_queue_(*context_.loop, context_.pools,
                         [this](std::uint64_t done, std::int64_t moved) { on_completed(done, moved); });
  }
  Running& running = running_[id];
  running.slice = slice;
  running.file = *file;
  issue(id);
}

/// Sends off what is left of the slice, now or when it is its turn.
void FileTransport::issue(std::uint64_t id) {
  Running& running = running_.at(id);
  running.direct = !running.buffered_only && running.file->fits_direct(running.slice.local.subspan(running.moved),
                                                                       running.slice.remote.offset + running.moved);
  if (!writes(running.slice) || gate_.enter(running.file->id(), running.direct, id)) submit(id);
}

void FileTransport::submit(std::uint64_t id) {
  const Running& running = running_.at(id);
  queue_->submit({.id = id,
                  .write = writes(running.slice),
                  .fd = running.file->fd(running.direct),
                  .memory = running.slice.local.subspan(running.moved),
                  .offset = running.slice.remote.offset + running.moved});
}

void FileTransport::leave_gate(FileId file) {
  for (const std::uint64_t next : gate_.leave(file)) submit(next);
}

void FileTransport::on_completed(std::uint64_t id, std::int64_t moved) {
  const auto found = running_.find(id);
  CHECK(found != running_.end());
  Running& running = found->second;
  if (writes(running.slice)) leave_gate(running.file->id());
  if (moved > 0) {
    running.moved += static_cast<std::size_t>(moved);
    CHECK(running.moved <= running.slice.local.size());
    running.retries = 0;
  }
  if (goes_on(running, moved)) return issue(id);
  finish(id, outcome(running, moved));
}

/// Whether to try again, or to move the rest after a short read or write.
bool FileTransport::goes_on(Running& running, std::int64_t moved) {
  if (!running.stopped.ok() || running.moved == running.slice.local.size()) return false;
  if (moved > 0) return true;
  if (moved == -EINTR || moved == -EAGAIN) return ++running.retries <= kFileRetriesMax;
  if (moved != -EINVAL || !running.direct) return false;
  running.buffered_only = true;  // its blocks are larger than it told
  return true;
}

Status FileTransport::outcome(const Running& running, std::int64_t moved) const {
  const Slice& slice = running.slice;
  if (running.moved == slice.local.size()) return {};
  if (!running.stopped.ok()) return running.stopped;
  const std::string what =
      fmt::format("{} {} bytes at {} of {}, of which {} were moved", writes(slice) ? "writing" : "reading",
                  slice.local.size(), slice.remote.offset, running.file->path(), running.moved);
  if (moved < 0) return file_error(what, static_cast<int>(-moved));
  if (writes(slice)) return {Code::kUnavailable, what + ": the system wrote nothing and does not say why"};
  return {Code::kOutOfRange, what + ": the file ends there; was it truncated after it was registered?"};
}

/// @return false if it had not begun: then it is taken out, and the caller finishes it.
bool FileTransport::stop(std::uint64_t id, const Status& why) {
  Running& running = running_.at(id);
  if (running.stopped.ok()) running.stopped = why;
  if (writes(running.slice) && gate_.forget(running.file->id(), id)) return false;
  queue_->cancel(id);
  return true;
}

void FileTransport::finish(std::uint64_t id, const Status& status) {
  const auto found = running_.find(id);
  const SegmentHandle segment = found->second.slice.remote.segment;
  running_.erase(found);
  context_.segments.release(segment);
  sink_.on_slice_done(SliceId{id}, status);
}

Abandoned FileTransport::abandon(SliceId slice_id, const Slice& slice) {
  const auto id = static_cast<std::uint64_t>(slice_id);
  if (!running_.contains(id)) return Abandoned::kForgotten;  // was refused; its report finds nobody
  if (stop(id, {Code::kCancelled, "the slice was given up"})) return Abandoned::kHeld;
  running_.erase(id);
  context_.segments.release(slice.remote.segment);
  return Abandoned::kForgotten;
}

void FileTransport::revoke(SegmentHandle segment) {
  std::vector<std::uint64_t> ids;
  for (const auto& [id, running] : running_) {
    if (running.slice.remote.segment == segment) ids.push_back(id);
  }
  const Status why(Code::kStale, "the file was unregistered meanwhile");
  for (const std::uint64_t id : ids) {
    if (running_.contains(id) && !stop(id, why)) finish(id, why);
  }
}

void FileTransport::pool_gone(std::uint64_t pool) {
  if (queue_) queue_->pool_gone(pool);
}

void FileTransport::close() {
  queue_.reset();
  for (const auto& [id, running] : running_) context_.segments.release(running.slice.remote.segment);
  running_.clear();
}

}  // namespace mooncake::transfer
