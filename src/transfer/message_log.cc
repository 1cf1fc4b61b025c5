#include "transfer/message_log.h"

#include <fmt/format.h>

namespace mooncake::transfer {
namespace {

/// Of a message beside its payload: its place here, and the shared string's head. A peer that reads no empty messages
/// holds no more of ours than one that reads no long ones.
constexpr std::size_t kKeptBytes = sizeof(FrameHeader) + sizeof(std::shared_ptr<const std::string>) + 64;

}  // namespace

void MessageLog::append(const FrameHeader& header, std::string payload) {
  bytes_ += kKeptBytes + payload.size();
  kept_.push_back({header, std::make_shared<const std::string>(std::move(payload))});
}

OutFrame MessageLog::next() {
  CHECK(has_next());
  const Kept& kept = kept_[sent_ - acked_];
  ++sent_;
  OutFrame frame = OutFrame::make(kept.header, {}, {}, as_bytes(*kept.payload));
  frame.lender = kept.payload;
  return frame;
}

Status MessageLog::acknowledged(std::uint64_t count) {
  if (count > sent_) {
    return {Code::kCorrupt, fmt::format("the peer says that it has {} messages, of {} that were sent", count, sent_)};
  }
  for (; acked_ < count; ++acked_) {
    bytes_ -= kKeptBytes + kept_.front().payload->size();
    kept_.pop_front();
  }
  return {};
}

bool MessageCount::arrived(std::size_t bytes) {
  ++total_;
  ++since_;
  bytes_since_ += bytes;
  if (since_ < kAckMessages && bytes_since_ < kAckBytes) return false;
  since_ = 0;
  bytes_since_ = 0;
  return true;
}

}  // namespace mooncake::transfer
