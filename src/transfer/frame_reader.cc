#include "transfer/frame_reader.h"

#include <fmt/format.h>

#include <algorithm>

namespace mooncake::transfer {
namespace {

/// Thrown-away payload lands here; shared by all readers, and never read.
constexpr std::size_t kScratchBytes = 64u << 10;
ByteSpan scratch() {
  static thread_local std::array<std::byte, kScratchBytes> bytes;
  return bytes;
}

}  // namespace

ByteSpan FrameReader::landing() {
  switch (state_) {
    case State::kHeader:
    case State::kRange:
      return {};
    case State::kMessage:
      return ByteSpan(reinterpret_cast<std::byte*>(message_.data()), message_.size()).subspan(have_);
    case State::kBulk:
      break;
  }
  const std::size_t rest = range_.length - have_;
  if (at_ == nullptr) return scratch().first(std::min(rest, kScratchBytes));
  return {at_ + have_, rest};
}

Status FrameReader::landed(std::size_t count) {
  CHECK(count <= landing().size());
  return advance(count);
}

Status FrameReader::consume(ConstByteSpan bytes) {
  while (!bytes.empty()) {
    const bool small = state_ == State::kHeader || state_ == State::kRange;
    const ByteSpan to = small ? part().subspan(have_) : landing();
    const std::size_t count = std::min(to.size(), bytes.size());
    if (small || state_ == State::kMessage || at_ != nullptr) std::memcpy(to.data(), bytes.data(), count);
    bytes = bytes.subspan(count);
    MC_RETURN_IF_ERROR(advance(count));
  }
  return {};
}

Status FrameReader::advance(std::size_t count) {
  have_ += count;
  switch (state_) {
    case State::kHeader:
      return have_ == part().size() ? on_header() : Status();
    case State::kRange:
      return have_ == range_bytes_ ? on_range() : Status();
    case State::kMessage:
      return have_ == message_.size() ? end_payload() : Status();
    case State::kBulk:
      return have_ == range_.length ? end_payload() : Status();
  }
  return {};
}

void FrameReader::open_with(std::unique_ptr<FrameMac> mac) {
  CHECK(state_ == State::kHeader && have_ == 0 && mac_ == nullptr);
  mac_ = std::move(mac);
}

ByteSpan FrameReader::part() {
  if (state_ == State::kRange) return ByteSpan(range_head_).first(range_bytes_);
  return ByteSpan(head_).first(mac_ ? head_.size() : kHeaderBytes);
}

Status FrameReader::check_mac(ConstByteSpan payload) {
  if (!mac_) return {};
  const ConstByteSpan head(head_);
  const Mac expected = mac_->compute(number_++, head.first(kHeaderBytes), payload);
  if (equal_secrets(expected, head.subspan(kHeaderBytes))) return {};
  return {Code::kPermissionDenied, "a frame has a wrong MAC: it was changed, repeated or put in on its way"};
}

Status FrameReader::on_range() {
  if (have_ == kRangeBytes) {
    MC_ASSIGN_OR_RETURN(range_bytes_, transfer::range_bytes(range_head_));
    if (range_bytes_ > have_) return {};
  }
  MC_RETURN_IF_ERROR(check_mac(part()));
  MC_ASSIGN_OR_RETURN(range_, decode_range(part()));
  if (header_.length < range_bytes_ || range_.length != header_.length - range_bytes_) {
    return {Code::kCorrupt, "a write frame names two lengths"};
  }
  return begin_bulk();
}

Status FrameReader::on_header() {
  MC_ASSIGN_OR_RETURN(header_, decode_header(ConstByteSpan(head_).first<kHeaderBytes>()));
  have_ = 0;
  if (header_.length > payload_max_) {
    return {Code::kExhausted,
            fmt::format("a {} frame of {} bytes from a stranger", frame_kind_name(header_.kind), header_.length)};
  }
  if (header_.kind == FrameKind::kWrite) {
    if (header_.length < kRangeBytes) return {Code::kCorrupt, "a write frame ends before its range"};
    state_ = State::kRange;
    range_bytes_ = kRangeBytes;
    return {};
  }
  if (header_.kind == FrameKind::kData) {
    MC_RETURN_IF_ERROR(check_mac({}));
    range_ = {.segment = {}, .offset = 0, .length = header_.length};
    return begin_bulk();
  }
  message_.resize(header_.length);
  state_ = State::kMessage;
  return message_.empty() ? end_payload() : Status();
}

Status FrameReader::begin_bulk() {
  have_ = 0;
  state_ = State::kBulk;
  at_ = sink_.on_bulk(header_, range_);
  return range_.length == 0 ? end_payload() : Status();
}

Status FrameReader::end_payload() {
  const bool bulk = state_ == State::kBulk;
  if (!bulk) MC_RETURN_IF_ERROR(check_mac(as_bytes(message_)));
  state_ = State::kHeader;
  have_ = 0;
  at_ = nullptr;
  if (bulk) return sink_.on_bulk_end(header_, range_);
  return sink_.on_frame(header_, std::exchange(message_, {}));
}

}  // namespace mooncake::transfer
