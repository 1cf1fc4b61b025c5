#include "transfer/tcp/tcp_transport.h"

#include <algorithm>

#include "transfer/tcp/local_interface.h"

namespace mooncake::transfer {
namespace {

std::vector<std::string> rail_labels(std::size_t rails) {
  std::vector<std::string> labels;
  for (std::size_t rail = 0; rail < rails; ++rail) labels.push_back(std::to_string(rail));
  return labels;
}

}  // namespace

TcpTransport::TcpTransport(Context& context, SliceQueue& queue, DeviceLandings& landings, PeerHandle handle,
                           std::string peer, std::size_t rails)
    : context_(context),
      queue_(queue),
      peer_handle_(handle),
      counters_(context.stats.paths, std::move(peer), "tcp", rail_labels(rails)),
      planner_(std::move(*RailPlanner::create(rails, kTcpSlices))),
      weights_(context.distances(), rails),
      device_landings_(landings) {}

void TcpTransport::add(std::shared_ptr<Connection> connection, const Link& link) {
  if (context_.nearness && weights_.device(link.rail).empty()) {
    weights_.set_device(link.rail, local_interface(connection->fd()));
  }
  connections_.add(std::move(connection), link);
}

RailSet TcpTransport::empty_rails() const {
  RailSet empty;
  for (std::size_t rail = 0; rail < weights_.size(); ++rail) {
    empty[rail] = connections_.size_on(static_cast<std::uint8_t>(rail)) == 0;
  }
  return empty;
}

std::size_t TcpTransport::cut(const Slice& rest, Instant now) {
  return planner_.cut(rest.local.size(), weights_.at(rest.location), empty_rails(), now);
}

/// Rails that cool down are better than none, and so are those that should not carry this memory's bytes.
RailId TcpTransport::choose_rail(const Slice& slice) {
  const Instant now = context_.loop->clock().now();
  const std::size_t bytes = slice.local.size();
  const std::span<const double> weights = weights_.at(slice.location);
  const RailSet empty = empty_rails();
  const Result<RailId> rail = planner_.start(bytes, weights, empty, now);
  if (rail.ok()) return *rail;
  std::size_t best = connections_.any_rail();
  for (std::size_t other = 0; weights[best] == kNoRail && other < weights.size(); ++other) {
    if (weights[other] != kNoRail && !empty[other]) best = other;
  }
  return planner_.start_anyway(bytes, RailId{static_cast<std::uint32_t>(best)}, now);
}

void TcpTransport::settle(std::uint64_t request_id, Outcome outcome) {
  const auto found = sent_.find(request_id);
  if (found == sent_.end()) return;
  const Sent sent = found->second;
  sent_.erase(found);
  if (sent.connection == nullptr) return;  // the planner was told when it was lost
  const Instant now = context_.loop->clock().now();
  if (outcome == Outcome::kDone) planner_.on_done(sent.rail, sent.bytes, now);
  if (outcome == Outcome::kAbandoned) planner_.on_abandoned(sent.rail, sent.bytes, now);
}

void TcpTransport::start(SliceId id, const Slice& slice) {
  std::array<std::byte, kRangeBytesMax> room;
  const ConstByteSpan range = encode_range(slice.remote, room);
  FrameHeader header{.request_id = static_cast<std::uint64_t>(id)};
  const bool write = slice.op == TransferRequest::Op::kWrite;
  header.kind = write ? FrameKind::kWrite : FrameKind::kRead;
  const RailId rail = choose_rail(slice);
  // The answer to a read comes on the connection that asked: take turns, as what waits at the other end is not known.
  const auto on = static_cast<std::uint8_t>(rail);
  Connection& connection = write ? connections_.least_busy(on) : connections_.next(on);
  queue_.on_slice_path(id, counters_[on]);
  sent_[header.request_id] = {.connection = &connection, .rail = rail, .bytes = slice.local.size()};
  connection.send(OutFrame::make(header, range, {}, write ? ConstByteSpan(slice.local) : ConstByteSpan()));
}

Abandoned TcpTransport::abandon(SliceId id, const Slice& slice) {
  const auto request_id = static_cast<std::uint64_t>(id);
  const auto sent = sent_.find(request_id);
  CHECK(sent != sent_.end());
  Connection* const connection = sent->second.connection;
  if (connection == nullptr) {  // closed on this side: nothing touches the memory
    sent_.erase(sent);
    return Abandoned::kForgotten;
  }
  if (slice.op == TransferRequest::Op::kRead) {
    divert_data(request_id);
    connection->send(OutFrame::make({.kind = FrameKind::kCancel, .request_id = request_id}));
    return Abandoned::kLetGo;
  }
  if (connection->let_go(FrameKind::kWrite, request_id) != OutQueue::LetGo::kUnsent) return Abandoned::kLetGo;
  settle(request_id, Outcome::kAbandoned);
  return Abandoned::kForgotten;
}

Link TcpTransport::lose(Connection& connection) {
  const Link link = connections_.remove(connection);
  if (const auto landing = landings_.find(&connection); landing != landings_.end()) {
    if (landing->second.kind == FrameKind::kWrite && landing->second.status.ok()) {
      context_.segments.release(landing->second.segment);
    }
    landings_.erase(landing);
  }
  absl::erase_if(answers_, [&](const auto& entry) {
    if (entry.second.connection != &connection) return false;
    let_go(entry.second);
    return true;
  });
  device_landings_.drop(link.id);
  const Instant now = context_.loop->clock().now();
  for (auto& [request_id, sent] : sent_) {
    if (sent.connection != &connection) continue;
    sent.connection = nullptr;
    planner_.on_failed(sent.rail, sent.bytes, now);
    stranded_[link.id].push_back(request_id);
  }
  planner_.on_rail_failed(RailId{link.rail}, now);
  return link;
}

void TcpTransport::begin_again(std::uint64_t connection_id) {
  const auto found = stranded_.find(connection_id);
  if (found == stranded_.end()) return;
  const std::vector<std::uint64_t> ids = std::move(found->second);
  stranded_.erase(found);
  for (const std::uint64_t id : ids) {
    const auto sent = sent_.find(id);
    if (sent == sent_.end() || sent->second.connection != nullptr) continue;  // given up
    const Result<const Slice*> slice = queue_.find(SliceId{id}, *this);
    CHECK(slice.ok() && *slice != nullptr);
    if (queue_.wanted(SliceId{id})) {
      counters_[static_cast<std::size_t>(sent->second.rail)].retried();
      start(SliceId{id}, **slice);
    } else {
      sent_.erase(sent);
      queue_.on_slice_done(SliceId{id}, Status(Code::kCancelled, "the batch has ended"));
    }
  }
}

void TcpTransport::divert_data(std::uint64_t request_id) {
  for (auto& [connection, landing] : landings_) {
    if (landing.kind == FrameKind::kData && landing.request_id == request_id) connection->divert();
  }
}

void TcpTransport::send_done(Connection& to, std::uint64_t request_id, const Status& status) {
  FrameHeader header{
      .kind = FrameKind::kDone, .request_id = request_id, .argument = static_cast<std::uint32_t>(status.code())};
  to.send(OutFrame::make(header, {}, status.message().substr(0, kReasonBytesMax)));
}

Status TcpTransport::on_read(Connection& from, const FrameHeader& header, std::string_view payload) {
  MC_ASSIGN_OR_RETURN(const BulkRange range, decode_range(as_bytes(payload)));
  if (answers_.contains(header.request_id)) return {Code::kCorrupt, "two reads with one request id"};
  if (range.length == 0 || range.length > kBulkFrameBytesMax)
    return {Code::kCorrupt, "a read of a length that no frame can carry"};
  if (answers_.size() >= kAnsweredReadsMax) {
    send_done(from, header.request_id, {Code::kExhausted, "too many reads at once"});
    return {};
  }
  const Result<HeldMemory> at = context_.acquire(range, Access::kRead, peer_handle_);
  if (!at.ok()) {
    send_done(from, header.request_id, at.status());
    return {};
  }
  if (at->kind != MemoryKind::kHost) {
    fetch(from, header.request_id, range, at->at);
    return {};
  }
  answers_[header.request_id] = Answer{.segment = range.segment, .connection = &from, .bytes = range.length};
  const FrameHeader answer{.kind = FrameKind::kData, .request_id = header.request_id};
  from.send(OutFrame::make(answer, {}, {}, ConstByteSpan(at->at, range.length)));
  return {};
}

void TcpTransport::on_cancel(std::uint64_t request_id) {
  const auto found = answers_.find(request_id);
  if (found == answers_.end()) return;
  Answer& answer = found->second;
  if (answer.fetching == 0 && !answer.connection->take_out(FrameKind::kData, request_id)) return;
  send_done(*answer.connection, request_id, {Code::kCancelled, "the read was given up"});
  let_go(answer);
  answers_.erase(found);
}

/// The answer is over, and none of it waits to be sent. What a device is copying for it ends by itself.
void TcpTransport::let_go(const Answer& answer) {
  if (answer.segment != SegmentHandle{}) context_.segments.release(answer.segment);
  if (answer.fetching != 0) static_cast<void>(context_.cuda.get()->cancel(answer.fetching));
}

void TcpTransport::on_bulk_sent(const FrameHeader& header) {
  if (header.kind != FrameKind::kData) return;  // a write of ours: its done says the rest
  const auto found = answers_.find(header.request_id);
  if (found == answers_.end()) return;
  counters_of(*found->second.connection).served(true, found->second.bytes);
  let_go(found->second);
  answers_.erase(found);
}

Status TcpTransport::on_done(const FrameHeader& header, std::string_view payload) {
  MC_ASSIGN_OR_RETURN(const Slice* const slice, queue_.find(SliceId{header.request_id}, *this));
  if (slice == nullptr) return {};  // given up
  const auto sent = sent_.find(header.request_id);
  if (sent == sent_.end() || sent->second.connection == nullptr)
    return {Code::kCorrupt, "an answer to what was not asked here"};
  const Status status = decode_status(header.argument, payload);
  if (slice->op == TransferRequest::Op::kRead) {
    if (status.ok()) return {Code::kCorrupt, "a read was answered without data"};
    divert_data(header.request_id);
  } else {
    // A peer that answers before it has read everything must not make us send memory that is not ours any more.
    sent->second.connection->let_go(FrameKind::kWrite, header.request_id);
  }
  settle(header.request_id, status.ok() ? Outcome::kDone : Outcome::kAbandoned);
  queue_.on_slice_done(SliceId{header.request_id}, status);
  return {};
}

std::byte* TcpTransport::on_bulk(Connection& from, const FrameHeader& header, const BulkRange& range) {
  Landing landing;
  landing.kind = header.kind;
  landing.request_id = header.request_id;
  std::byte* to = nullptr;
  if (header.kind == FrameKind::kWrite) {
    to = begin_write(range, landing);
  } else {
    landing.status = begin_data(from, header, range, landing, to);
  }
  landings_[&from] = std::move(landing);
  return to;
}

std::byte* TcpTransport::begin_write(const BulkRange& range, Landing& landing) {
  const Result<HeldMemory> at = context_.acquire(range, Access::kWrite, peer_handle_);
  if (!at.ok()) {
    landing.status = at.status();
    return nullptr;
  }
  landing.segment = range.segment;
  if (at->kind == MemoryKind::kHost || range.length == 0) return at->at;
  if (range.length > kStagingSlotBytes) {
    landing.status = too_long_for_slot(range.length);
    context_.segments.release(range.segment);
    return nullptr;
  }
  landing.device = at->at;
  landing.arrived.bytes = range.length;
  if (auto slot = context_.cuda.get()->try_take(SlotUse::kLanding, peer_handle_); slot.has_value()) {
    landing.arrived.slot = std::move(*slot);
    return landing.arrived.slot.first(range.length).data();
  }
  landing.arrived.spill = std::make_unique_for_overwrite<std::byte[]>(range.length);
  return landing.arrived.spill.get();
}

Status TcpTransport::begin_data(const Connection& from, const FrameHeader& header, const BulkRange& range,
                                Landing& begun, std::byte*& to) {
  for (const auto& [connection, landing] : landings_) {
    if (landing.kind == FrameKind::kData && landing.request_id == header.request_id) {
      return {Code::kCorrupt, "a read was answered twice"};
    }
  }
  MC_ASSIGN_OR_RETURN(const Slice* const slice, queue_.find(SliceId{header.request_id}, *this));
  if (slice == nullptr) return {};  // given up long ago
  const auto sent = sent_.find(header.request_id);
  if (sent == sent_.end() || sent->second.connection != &from)
    return {Code::kCorrupt, "data for what was not asked here"};
  if (slice->op != TransferRequest::Op::kRead) return {Code::kCorrupt, "a write was answered with data"};
  if (slice->local.size() != range.length) return {Code::kCorrupt, "a read was answered with another length"};
  begun.asked = true;
  to = queue_.landing(SliceId{header.request_id}).data();
  return {};
}

Status TcpTransport::on_bulk_end(Connection& from, const FrameHeader& header, const BulkRange& range) {
  const auto found = landings_.find(&from);
  CHECK(found != landings_.end());
  Landing landing = std::move(found->second);
  landings_.erase(found);
  if (header.kind == FrameKind::kData) {
    MC_RETURN_IF_ERROR(landing.status);
    if (!landing.asked) return {};  // though its id may have been given to a slice meanwhile
    settle(header.request_id, Outcome::kDone);
    queue_.on_slice_done(SliceId{header.request_id}, {});
    return {};
  }
  if (landing.status.ok() && landing.device != nullptr) {
    land_on_device(from, header.request_id, range, std::move(landing));
    return {};
  }
  if (landing.status.ok()) {
    counters_of(from).served(false, range.length);
    context_.segments.release(landing.segment);
  }
  send_done(from, header.request_id, landing.status);
  return {};
}

/// The connection outlives what is told of it here: lose() drops that.
void TcpTransport::land_on_device(Connection& from, std::uint64_t request_id, const BulkRange& range, Landing landing) {
  std::function<void()> resume;
  if (landing.arrived.spill != nullptr) {
    from.pause();
    resume = [&from] { from.resume(); };
  }
  device_landings_.land(connections_.id_of(from), std::move(landing.arrived),
                        SegmentHold(context_.segments, range.segment), range.segment, landing.device, std::move(resume),
                        [&from, &path = counters_of(from), request_id, bytes = range.length](const Status& status) {
                          if (status.ok()) path.served(false, bytes);
                          send_done(from, request_id, status);
                        });
}

void TcpTransport::fetch(Connection& from, std::uint64_t request_id, const BulkRange& range, const std::byte* device) {
  SegmentHold hold(context_.segments, range.segment);
  if (range.length > kStagingSlotBytes) return send_done(from, request_id, too_long_for_slot(range.length));
  const std::uint64_t number = ++last_fetch_;
  Answer& answer = answers_[request_id];
  answer.connection = &from;
  answer.bytes = range.length;
  answer.number = number;
  answer.fetching = context_.cuda.get()->fetch(
      SlotUse::kAnswering, {.peer = peer_handle_, .segment = range.segment}, {device, range.length},
      [this, alive = std::weak_ptr(alive_), request_id, number, hold = std::move(hold)](Result<StagingSlot> slot) {
        if (!alive.expired()) on_fetched(request_id, number, std::move(slot));
      });
}

/// From here on the segment may go: the bytes are in the slot.
void TcpTransport::on_fetched(std::uint64_t request_id, std::uint64_t number, Result<StagingSlot> slot) {
  const auto found = answers_.find(request_id);
  if (found == answers_.end() || found->second.number != number) return;
  Answer& answer = found->second;
  answer.fetching = 0;
  if (!slot.ok()) {
    send_done(*answer.connection, request_id, slot.status());
    answers_.erase(found);
    return;
  }
  answer.slot = std::move(*slot);
  const FrameHeader header{.kind = FrameKind::kData, .request_id = request_id};
  answer.connection->send(OutFrame::make(header, {}, {}, answer.slot.first(answer.bytes)));
}

void TcpTransport::revoke(SegmentHandle segment) {
  for (auto& [connection, landing] : landings_) {
    if (landing.kind != FrameKind::kWrite || !landing.status.ok() || landing.segment != segment) continue;
    connection->divert();
    landing.status = Status(Code::kStale, "the segment was unregistered while the write arrived");
    landing.arrived = {};
    context_.segments.release(segment);
  }
  std::vector<std::uint64_t> affected;
  for (const auto& [request_id, answer] : answers_) {
    if (answer.segment == segment) affected.push_back(request_id);
  }
  for (const std::uint64_t request_id : affected) take_back(request_id);
}

/// Frees the memory of an answer that waits or is being sent: the one becomes a failure, the other goes on from a copy.
void TcpTransport::take_back(std::uint64_t request_id) {
  const auto found = answers_.find(request_id);
  const Answer answer = std::move(found->second);
  answers_.erase(found);
  if (answer.connection->let_go(FrameKind::kData, request_id) == OutQueue::LetGo::kUnsent) {
    send_done(*answer.connection, request_id, {Code::kStale, "the segment was unregistered before it was read"});
  } else {
    counters_of(*answer.connection).served(true, answer.bytes);
  }
  context_.segments.release(answer.segment);
}

void TcpTransport::close(const Status& reason, bool tell) {
  connections_.close_all(reason, tell);
  for (const auto& [connection, landing] : landings_) {
    if (landing.kind == FrameKind::kWrite && landing.status.ok()) context_.segments.release(landing.segment);
  }
  landings_.clear();
  for (const auto& [request_id, answer] : answers_) let_go(answer);
  answers_.clear();
  sent_.clear();
  stranded_.clear();
}

}  // namespace mooncake::transfer
