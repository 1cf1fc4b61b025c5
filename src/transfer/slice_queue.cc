#include "transfer/slice_queue.h"

#include <fmt/format.h>

#include <algorithm>

namespace mooncake::transfer {

void SliceQueue::submit(BatchPtr batch) {
  running_.push_back(batch);
  batch->id = ++batches_;
  tell_batch(TraceEvent::Kind::kBatchBegin, *batch, {});
  if (running_.size() > kBatchesMax) {
    batch->status =
        Status(Code::kExhausted, fmt::format("{} batches run towards this peer, the most there can be", kBatchesMax));
    return finish(batch);
  }
  if (batch->all_started()) return settle(batch);  // nothing to move
  waiting_.push_back(std::move(batch));
  pump(now());
}

void SliceQueue::pump(Instant now) {
  pumping_ = now;
  while (open_ && !waiting_.empty() && slices_ < kSlicesInFlightMax && slice_bytes_ < kSliceBytesInFlightMax) {
    const BatchPtr batch = waiting_.front();
    if (must_wait(batch->requests[batch->next_request])) break;
    start_next(batch, now);
    if (batch->all_started()) waiting_.pop_front();
  }
  pumping_.reset();
}

/// What is left of a write that was given up may still be on its way, on another connection than what comes next.
bool SliceQueue::must_wait(const TransferRequest& request) const {
  if (given_up_writes_ == 0) return false;
  const std::uint64_t end = request.offset + request.local.size();
  return std::ranges::any_of(in_flight_, [&](const auto& item) {
    const Entry& entry = item.second;
    const BulkRange& late = entry.slice.remote;
    return entry.batch == nullptr && entry.slice.op == TransferRequest::Op::kWrite && late.segment == request.segment &&
           late.offset < end && request.offset < late.offset + late.length;
  });
}

void SliceQueue::start_next(const BatchPtr& batch, Instant now) {
  const TransferRequest& request = batch->requests[batch->next_request];
  const std::size_t at = batch->next_offset;
  Slice slice{.op = request.op,
              .local = request.local.subspan(at),
              .remote = {.segment = request.segment,
                         .offset = request.offset + at,
                         .length = request.local.size() - at,
                         .capability = request.capability},
              .kind = batch->kinds[batch->next_request]};
  if (context_.nearness) {
    const std::size_t about = std::min(slice.local.size(), kSliceBytesMax);
    slice.location = context_.nearness->of(slice.local.first(about), slice.kind, now);
  }
  Transport* const transport = hooks_.choose(slice, nullptr);
  const std::size_t length = transport->cut(slice, now);
  CHECK(length > 0 && length <= std::min(slice.local.size(), kSliceBytesMax));
  slice.local = slice.local.first(length);
  slice.remote.length = length;
  batch->next_offset += length;
  if (batch->next_offset == request.local.size()) {
    ++batch->next_request;
    batch->next_offset = 0;
  }
  ++slices_;
  slice_bytes_ += length;
  ++batch->in_flight;
  start(SliceId{hooks_.next_id()}, Entry{.slice = slice, .batch = batch, .transport = transport});
}

void SliceQueue::start(SliceId id, Entry entry) {
  if (!entry.transport->reaches(entry.slice)) return stage(id, std::move(entry));
  const Slice slice = entry.slice;
  Transport* const transport = entry.transport;
  entry.batch->transport = transport->name();
  in_flight_.insert_or_assign(static_cast<std::uint64_t>(id), std::move(entry));
  transport->start(id, slice);
}

void SliceQueue::on_slice_path(SliceId id, PathCounters& path) {
  const auto key = static_cast<std::uint64_t>(id);
  const auto found = in_flight_.find(key);
  if (found == in_flight_.end()) return;
  Entry& entry = found->second;
  const Instant at = pumping_.has_value() ? *pumping_ : now();
  leave_path(key, entry, Outcome::kGoesOn, Code::kUnavailable, at);
  entry.path = &path;
  entry.begun = at;
  context_.tell([&] { return slice_event(TraceEvent::Kind::kSliceBegin, key, entry, path); });
}

TraceEvent SliceQueue::slice_event(TraceEvent::Kind kind, std::uint64_t id, const Entry& entry,
                                   const PathCounters& path) const {
  return {.kind = kind,
          .peer = peer_.value,
          .peer_name = hooks_.peer_name(),
          .id = id,
          .batch = entry.batch ? entry.batch->id : 0,
          .transport = path.labels().transport,
          .rail = path.labels().rail,
          .write = entry.slice.op == TransferRequest::Op::kWrite,
          .bytes = entry.slice.local.size()};
}

/// The slice is over on its path, if one has it.
void SliceQueue::leave_path(std::uint64_t id, Entry& entry, Outcome outcome, Code code, Instant now) {
  PathCounters* const path = std::exchange(entry.path, nullptr);
  if (path == nullptr) return;
  const bool write = entry.slice.op == TransferRequest::Op::kWrite;
  const std::size_t bytes = entry.slice.local.size();
  const Nanos took = now - entry.begun;
  if (outcome == Outcome::kDone) path->moved(write, bytes, took);
  if (outcome == Outcome::kFailed) path->failed();
  context_.tell([&] {
    TraceEvent event = slice_event(TraceEvent::Kind::kSliceEnd, id, entry, *path);
    event.took = took;
    event.code = code;
    return event;
  });
}

void SliceQueue::on_slice_done(SliceId id, const Status& status) {
  const auto found = in_flight_.find(static_cast<std::uint64_t>(id));
  if (found == in_flight_.end()) return;  // given up before
  Entry& entry = found->second;
  const bool lands = !entry.device.empty() && entry.slice.op == TransferRequest::Op::kRead;
  if (lands && status.ok() && wanted(id)) return land(id, entry);
  end_slice(id, status);
}

void SliceQueue::end_slice(SliceId id, const Status& status) {
  const auto found = in_flight_.find(static_cast<std::uint64_t>(id));
  Entry entry = std::move(found->second);
  in_flight_.erase(found);
  const Instant at = now();
  const bool wanted = entry.batch != nullptr && entry.batch->status.ok();
  const Outcome failure = wanted ? Outcome::kFailed : Outcome::kGivenUp;
  leave_path(static_cast<std::uint64_t>(id), entry, status.ok() ? Outcome::kDone : failure, status.code(), at);
  if (entry.batch == nullptr) {
    if (entry.slice.op != TransferRequest::Op::kWrite) return;
    --given_up_writes_;
    return pump(at);  // what had to wait for it
  }
  release_window(entry);
  Batch::State& batch = *entry.batch;
  --batch.in_flight;
  if (!status.ok() && batch.status.ok()) {
    batch.status = status;
    std::erase(waiting_, entry.batch);  // nothing more of it is started
  }
  settle(entry.batch);
  pump(at);
}

void SliceQueue::on_slice_refused(SliceId id) {
  const auto found = in_flight_.find(static_cast<std::uint64_t>(id));
  if (found == in_flight_.end()) return;
  if (found->second.batch == nullptr || !found->second.batch->status.ok()) {
    return on_slice_done(id, Status(Code::kCancelled, "the batch has ended"));
  }
  Entry entry = std::move(found->second);
  leave_path(static_cast<std::uint64_t>(id), entry, Outcome::kGoesOn, Code::kUnavailable, now());
  entry.transport = hooks_.choose(entry.slice, entry.transport);
  start(id, std::move(entry));
}

void SliceQueue::begin_again(const Transport& lost) {
  std::vector<std::uint64_t> ids;
  for (const auto& [id, entry] : in_flight_) {
    if (entry.transport != &lost) continue;
    ids.push_back(id);
    if (entry.path != nullptr) entry.path->retried();
  }
  for (const std::uint64_t id : ids) on_slice_refused(SliceId{id});
}

bool SliceQueue::wanted(SliceId id) const {
  const auto found = in_flight_.find(static_cast<std::uint64_t>(id));
  return found != in_flight_.end() && found->second.batch != nullptr && found->second.batch->status.ok();
}

void SliceQueue::release_window(const Entry& entry) {
  --slices_;
  slice_bytes_ -= entry.slice.local.size();
}

void SliceQueue::stop(const BatchPtr& batch, const Status& why) {
  if (batch->finished) return;
  if (batch->status.ok()) batch->status = why;
  std::erase(waiting_, batch);
  if (batch->notify_id != 0) {
    hooks_.forget_notify(batch->notify_id);
    return finish(batch);
  }
  std::vector<std::uint64_t> ids;
  for (const auto& [id, entry] : in_flight_) {
    if (entry.batch == batch) ids.push_back(id);
  }
  for (const std::uint64_t id : ids) give_up(id);
  settle(batch);
  pump(now());
}

void SliceQueue::give_up(std::uint64_t id) {
  Entry& entry = in_flight_.at(id);
  const bool staged = entry.staging != 0;
  if (staged && !stop_staging(entry)) return;
  const Abandoned what = staged ? Abandoned::kForgotten : entry.transport->abandon(SliceId{id}, entry.slice);
  if (what == Abandoned::kHeld) return;
  let_go(entry);
  if (what != Abandoned::kForgotten) return;
  if (entry.slice.op == TransferRequest::Op::kWrite) --given_up_writes_;
  leave_path(id, entry, Outcome::kGivenUp, Code::kCancelled, now());
  in_flight_.erase(id);
}

/// The entry is no batch's any more, and keeps only its place on the wire.
void SliceQueue::let_go(Entry& entry) {
  release_window(entry);
  --entry.batch->in_flight;
  entry.batch = nullptr;
  entry.slot.reset();
  if (entry.slice.op == TransferRequest::Op::kWrite) ++given_up_writes_;
}

void SliceQueue::on_slice_let_go(SliceId id) {
  const auto found = in_flight_.find(static_cast<std::uint64_t>(id));
  if (found == in_flight_.end()) return;
  const BatchPtr batch = found->second.batch;
  let_go(found->second);
  settle(batch);
  pump(now());
}

void SliceQueue::fail_all(const Status& why) {
  auto entries = std::exchange(in_flight_, {});
  for (auto& [id, entry] : entries) {
    leave_path(id, entry, entry.batch ? Outcome::kFailed : Outcome::kGivenUp, why.code(), now());
  }
  given_up_writes_ = 0;
  waiting_.clear();
  slices_ = 0;
  slice_bytes_ = 0;
  const std::vector<BatchPtr> batches = running_;
  for (const BatchPtr& batch : batches) {
    if (batch->status.ok()) batch->status = why;
    batch->in_flight = 0;
  }
  for (const auto& [id, entry] : entries) {
    if (entry.staging != 0 && !stop_staging(entry)) ++entry.batch->in_flight;
  }
  for (const BatchPtr& batch : batches) finish(batch);
}

void SliceQueue::settle(const BatchPtr& batch) {
  if (batch->finished || batch->in_flight > 0) return;
  if (batch->status.ok()) {
    if (!batch->all_started()) return;
    if (batch->notify.has_value()) {
      if (batch->notify_id == 0) hooks_.notify(batch);
      return;
    }
  }
  finish(batch);
}

void SliceQueue::notify_done(const BatchPtr& batch, const Status& status) {
  if (batch->finished) return;
  if (batch->status.ok() && !status.ok()) batch->status = status.annotate("the data arrived, but not the notify");
  finish(batch);
}

/// Nothing is left of the batch here. A device may still be copying for it (fail_all): then it ends with that.
void SliceQueue::finish(const BatchPtr& batch) {
  const Nanos took = now() - batch->begun;
  BatchCounters& counters = batch_counters(batch->transport.empty() ? hooks_.transport_name() : batch->transport);
  if (batch->status.ok()) {
    counters.done(took);
  } else {
    counters.failed();
  }
  tell_batch(TraceEvent::Kind::kBatchEnd, *batch, took);
  std::erase(running_, batch);
  if (batch->in_flight == 0) end_batch(context_, batch);
}

void SliceQueue::end_batch(Context& context, const BatchPtr& batch) {
  batch->finished = true;
  context.loop->cancel(batch->timer);
  for (const SegmentHandle segment : batch->held) context.segments.release(segment);
  batch->held.clear();
  if (!batch->done) return;
  context.executor.post([done = std::move(batch->done), status = batch->status]() mutable { done(std::move(status)); });
}

BatchCounters& SliceQueue::batch_counters(std::string_view transport) {
  const auto known = std::ranges::find(batch_counters_, transport, &decltype(batch_counters_)::value_type::first);
  if (known != batch_counters_.end()) return *known->second;
  BatchCounters& row = context_.stats.batches.row(
      {.peer = std::string(hooks_.peer_name()), .transport = std::string(transport), .rail = {}});
  batch_counters_.emplace_back(transport, &row);
  return row;
}

void SliceQueue::tell_batch(TraceEvent::Kind kind, const Batch::State& batch, Nanos took) const {
  context_.tell([&] {
    std::uint64_t bytes = 0;
    for (const TransferRequest& request : batch.requests) bytes += request.local.size();
    return TraceEvent{.kind = kind,
                      .peer = peer_.value,
                      .peer_name = hooks_.peer_name(),
                      .id = batch.id,
                      .bytes = bytes,
                      .took = took,
                      .code = batch.status.code()};
  });
}

ByteSpan SliceQueue::landing(SliceId id) const {
  const auto found = in_flight_.find(static_cast<std::uint64_t>(id));
  if (found == in_flight_.end() || found->second.batch == nullptr || found->second.staging != 0) return {};
  return found->second.slice.op == TransferRequest::Op::kRead ? found->second.slice.local : ByteSpan();
}

Result<const Slice*> SliceQueue::find(SliceId id, const Transport& transport) const {
  const auto found = in_flight_.find(static_cast<std::uint64_t>(id));
  if (found == in_flight_.end() || found->second.staging != 0) return nullptr;
  const Entry& entry = found->second;
  if (entry.transport == &transport) return &entry.slice;
  return Status(Code::kCorrupt,
                fmt::format("an answer by {} to what was asked by {}", transport.name(), entry.transport->name()));
}

}  // namespace mooncake::transfer
