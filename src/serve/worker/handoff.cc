#include "serve/worker/handoff.h"

#include <fmt/core.h>

#include "serve/methods.h"

namespace mooncake::serve {
namespace {

/// The decode worker frees what it holds anyway when this connection or the deadline ends; so one try is enough.
constexpr Seconds kCancelTimeout{5};

}  // namespace

std::shared_ptr<Handoff> Handoff::create(const WorkerContext& context, transfer::PeerName decode,
                                         Arena::LeasePointer lease, Deadline deadline, Callbacks callbacks) {
  return std::shared_ptr<Handoff>(
      new Handoff(context, std::move(decode), std::move(lease), deadline, std::move(callbacks)));
}

Handoff::Handoff(const WorkerContext& context, transfer::PeerName decode, Arena::LeasePointer lease, Deadline deadline,
                 Callbacks callbacks)
    : context_(context),
      decode_(std::move(decode)),
      lease_(std::move(lease)),
      deadline_(deadline),
      callbacks_(std::move(callbacks)) {}

Handoff::~Handoff() {
  if (joined_ || id_.empty() || peer_ == transfer::PeerHandle{}) return;
  context_.transfer.call(peer_, kMethodCancel, encode_cancel(id_), context_.now() + kCancelTimeout,
                         [](const Result<std::string>&) {});
}

void Handoff::reserve(const ReserveCall& call) {
  CHECK(id_.empty());
  id_ = call.id;
  const auto peer = context_.transfer.connect(decode_);
  if (!peer.ok()) return fail(peer.status());
  peer_ = *peer;
  context_.transfer.call(peer_, kMethodReserve, encode(call), deadline_,
                         [weak = weak_from_this()](Result<std::string> reply) {
                           if (const auto self = weak.lock()) self->on_reserved(std::move(reply));
                         });
}

void Handoff::on_reserved(Result<std::string> reply) {
  if (failed_) return;
  if (!reply.ok()) return fail(reply.status().annotate("reserve"));
  auto landing = parse_reserve_reply(*reply);
  if (!landing.ok()) return fail(landing.status().annotate("reserve"));
  landing_ = std::move(landing).value();
  for (const auto& [first, count] : std::exchange(offered_, {})) write(first, count);
  join_when_written();
}

void Handoff::offer(std::uint32_t first, std::uint32_t count) {
  if (failed_ || count == 0) return;
  if (!landing_) {
    offered_.emplace_back(first, count);
    return;
  }
  write(first, count);
}

void Handoff::write(std::uint32_t first, std::uint32_t count) {
  const std::uint64_t offset = first * context_.block_bytes();
  const std::uint64_t bytes = count * context_.block_bytes();
  if (offset + bytes > landing_->bytes) {
    return fail({Code::kOutOfRange, fmt::format("landing area of {} bytes is too small", landing_->bytes)});
  }
  // Blocks that follow each other do so on both sides: one range, whatever their number.
  const transfer::TransferRequest request{transfer::TransferRequest::Op::kWrite, lease_->bytes().subspan(offset, bytes),
                                          landing_->segment, offset};
  ++writes_in_flight_;
  context_.transfer.submit(peer_, {&request, 1}, deadline_, std::nullopt,
                           [weak = weak_from_this(), lease = lease_, bytes](const Status& status) {
                             if (const auto self = weak.lock()) self->on_written(bytes, status);
                           });
}

void Handoff::on_written(std::uint64_t bytes, const Status& status) {
  --writes_in_flight_;
  if (failed_) return;
  if (!status.ok()) return fail(status.annotate("write KVCache"));
  bytes_written_ += bytes;
  join_when_written();
}

void Handoff::join(JoinCall call) {
  CHECK(!join_);
  join_ = std::move(call);
  join_when_written();
}

void Handoff::join_when_written() {
  if (!join_ || !landing_ || writes_in_flight_ > 0 || failed_) return;
  JoinCall call = std::move(*join_);
  call.deadline_ms = remaining_ms(deadline_, context_.now());
  join_.reset();
  context_.transfer.call(peer_, kMethodJoin, encode(call), deadline_,
                         [weak = weak_from_this()](const Result<std::string>& reply) {
                           if (const auto self = weak.lock()) self->on_joined(reply);
                         });
}

void Handoff::on_joined(const Result<std::string>& reply) {
  if (failed_) return;
  if (!reply.ok()) return fail(reply.status().annotate("join"));
  joined_ = true;
  callbacks_.joined();
}

void Handoff::fail(const Status& status) {
  if (failed_ || joined_) return;
  failed_ = true;
  // A decode worker that ends answers kCancelled. Nobody cancelled the request: it can go to another one.
  const bool ending = status.code() == Code::kCancelled;
  const Status& failure = ending ? Status(Code::kUnavailable, "ends: " + status.message()) : status;
  context_.loop.post([weak = weak_from_this(), why = failure.annotate(fmt::format("decode worker {}", decode_))] {
    if (const auto self = weak.lock()) self->callbacks_.failed(why);
  });
}

}  // namespace mooncake::serve
