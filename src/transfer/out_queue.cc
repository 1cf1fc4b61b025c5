#include "transfer/out_queue.h"

#include <algorithm>

namespace mooncake::transfer {

OutFrame OutFrame::make(FrameHeader header, ConstByteSpan small, std::string payload, ConstByteSpan borrowed) {
  OutFrame frame;
  CHECK(small.size() <= frame.head.size() - kHeaderBytes);
  header.length = small.size() + payload.size() + borrowed.size();
  frame.header = header;
  const HeaderBytes bytes = encode_header(header);
  std::ranges::copy(bytes, frame.head.begin());
  std::ranges::copy(small, frame.head.begin() + kHeaderBytes);
  frame.head_bytes = kHeaderBytes + small.size();
  frame.payload = std::move(payload);
  frame.borrowed = borrowed;
  return frame;
}

void OutQueue::push(OutFrame frame) {
  bytes_ += frame.bytes();
  (frame.bulk() ? bulk_ : urgent_).push_back(std::move(frame));
}

void OutQueue::commit() {
  while (wire_bytes_ < kCommitBytes) {
    std::deque<OutFrame>& from = urgent_.empty() ? bulk_ : urgent_;
    if (from.empty()) return;
    wire_bytes_ += from.front().bytes();
    wire_.push_back(std::move(from.front()));
    from.pop_front();
  }
}

std::span<iovec> OutQueue::gather(int& fd) {
  commit();
  fd = -1;
  std::size_t count = 0;
  std::size_t skip = front_sent_;
  const auto add = [&](const void* data, std::size_t size) {
    const std::size_t skipped = std::min(skip, size);
    skip -= skipped;
    if (size == skipped) return;
    pieces_[count++] = {static_cast<std::byte*>(const_cast<void*>(data)) + skipped, size - skipped};
  };
  for (OutFrame& frame : wire_) {
    if (count + 3 > kGatherMax || (count > 0 && frame.fd.valid())) break;
    const bool alone = frame.fd.valid() && front_sent_ == 0;
    if (alone) fd = frame.fd.get();
    add(frame.head.data(), frame.head_bytes);
    add(frame.payload.data(), frame.payload.size());
    add(frame.borrowed.data(), frame.borrowed.size());
    if (alone) break;
  }
  return std::span(pieces_).first(count);
}

void OutQueue::sent(std::size_t count, const std::function<void(const FrameHeader&)>& on_sent) {
  bytes_ -= count;
  wire_bytes_ -= count;
  front_sent_ += count;
  while (!wire_.empty() && front_sent_ >= wire_.front().bytes()) {
    front_sent_ -= wire_.front().bytes();
    const bool bulk = wire_.front().bulk();
    const FrameHeader header = wire_.front().header;
    wire_.pop_front();
    if (bulk) on_sent(header);
  }
  CHECK(!wire_.empty() || front_sent_ == 0);
}

bool OutQueue::take_out(FrameKind kind, std::uint64_t request_id) {
  const auto match = [&](const OutFrame& frame) {
    return frame.bulk() && frame.header.kind == kind && frame.header.request_id == request_id;
  };
  if (const auto found = std::ranges::find_if(bulk_, match); found != bulk_.end()) {
    bytes_ -= found->bytes();
    bulk_.erase(found);
    return true;
  }
  const auto found = std::ranges::find_if(wire_, match);
  if (found == wire_.end() || (found == wire_.begin() && front_sent_ > 0)) return false;
  bytes_ -= found->bytes();
  wire_bytes_ -= found->bytes();
  wire_.erase(found);
  return true;
}

OutQueue::LetGo OutQueue::let_go(FrameKind kind, std::uint64_t request_id) {
  if (take_out(kind, request_id)) return LetGo::kUnsent;
  if (wire_.empty()) return LetGo::kUnknown;
  OutFrame& frame = wire_.front();  // the one that is partly sent, if any is
  if (!frame.bulk() || frame.header.kind != kind || frame.header.request_id != request_id) return LetGo::kUnknown;
  // Sent bytes keep their place in the copy, so that front_sent_ stays true; what they hold does not matter.
  CHECK(frame.payload.empty());
  frame.payload.resize(frame.borrowed.size());
  const std::size_t sent = front_sent_ - std::min(front_sent_, frame.head_bytes);
  std::memcpy(frame.payload.data() + sent, frame.borrowed.data() + sent, frame.borrowed.size() - sent);
  frame.borrowed = {};
  return LetGo::kCopied;
}

}  // namespace mooncake::transfer
