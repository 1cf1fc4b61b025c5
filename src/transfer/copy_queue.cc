#include "transfer/copy_queue.h"

#include <algorithm>

namespace mooncake::transfer {
namespace {

bool overlap(const std::byte* a, std::size_t a_bytes, const std::byte* b, std::size_t b_bytes) {
  return a < b + b_bytes && b < a + a_bytes;
}

/// Whether one writes what the other reads or writes, as far as both are of this process.
bool conflict(const CopyPiece& a, const CopyPiece& b) {
  const auto reads = [](const CopyPiece& reader, const CopyPiece& writer) {
    return reader.pid == 0 && overlap(reader.from, reader.to.size(), writer.to.data(), writer.to.size());
  };
  return overlap(a.to.data(), a.to.size(), b.to.data(), b.to.size()) || reads(a, b) || reads(b, a);
}

}  // namespace

void CopyQueue::push(CopyJob job) {
  bytes_ += job.bytes;
  jobs_.push_back(std::move(job));
  if (running_) return;
  running_ = true;
  plan_turn();
}

void CopyQueue::plan_turn() {
  loop_.post([this, alive = std::weak_ptr(alive_)] {
    if (!alive.expired()) turn();
  });
}

void CopyQueue::turn() {
  if (!jobs_.empty()) copy_some();
  const std::weak_ptr alive(alive_);
  while (!jobs_.empty() && (jobs_.front().bytes == 0 || !jobs_.front().failed.ok())) {
    CopyJob over = std::move(jobs_.front());
    bytes_ -= over.bytes;
    jobs_.pop_front();
    over.done(over.failed);
    if (alive.expired()) return;
  }
  running_ = !jobs_.empty();
  if (running_) plan_turn();
}

/// Copies the next pieces, and takes them off their jobs.
void CopyQueue::copy_some() {
  gather();
  if (pieces_.size() == 1) {
    copy_piece(pieces_[0]);
  } else {
    crew_.copy(pieces_);
  }
  auto job = jobs_.begin();
  for (const CopyPiece& piece : pieces_) {
    while (job->bytes == 0) ++job;
    if (!piece.status.ok()) job->failed = piece.status;
    job->to += piece.to.size();
    job->from += piece.to.size();
    job->bytes -= piece.to.size();
    bytes_ -= piece.to.size();
  }
}

/// The first piece, and those behind it that need not wait for one before them.
void CopyQueue::gather() {
  pieces_.clear();
  const std::size_t most = bytes_ >= kCopyTogetherBytes ? crew_.size() : 1;
  for (const CopyJob& job : jobs_) {
    for (std::size_t at = 0; at < job.bytes;) {
      const std::size_t bytes = std::min(job.bytes - at, kCopyPieceBytes);
      CopyPiece piece{.to = {job.to + at, bytes}, .from = job.from + at, .pid = job.pid};
      if (std::ranges::any_of(pieces_, [&](const CopyPiece& before) { return conflict(before, piece); })) return;
      pieces_.push_back(std::move(piece));
      if (pieces_.size() == most) return;
      at += bytes;
    }
  }
}

template <typename Match>
bool CopyQueue::take_out(Match match, const Status& why) {
  bool any = false;
  for (;;) {
    const auto found = std::ranges::find_if(jobs_, match);
    if (found == jobs_.end()) return any;
    auto done = std::move(found->done);
    bytes_ -= found->bytes;
    jobs_.erase(found);
    any = true;
    done(why);
  }
}

bool CopyQueue::cancel(std::uint64_t id, const Status& why) {
  return take_out([&](const CopyJob& job) { return job.id == id; }, why);
}

void CopyQueue::forget(std::uint64_t id) {
  std::erase_if(jobs_, [&](const CopyJob& job) {
    if (job.id == id) bytes_ -= job.bytes;
    return job.id == id;
  });
}

void CopyQueue::revoke(SegmentHandle segment, const Status& why) {
  take_out([&](const CopyJob& job) { return job.segment == segment; }, why);
}

}  // namespace mooncake::transfer
