#include "transfer/out_queue.h"

#include <algorithm>

namespace mooncake::transfer {
namespace {

/// Copies small pieces together. One at a time a thread: they share the room.
class Joiner {
 public:
  /// Moves a small piece into the room. @return true if it then continues `last`, which has got longer.
  bool join(iovec& piece, iovec* last) {
    if (piece.iov_len > OutQueue::kJoinedPieceMax || used_ + piece.iov_len > room_.size()) return false;
    std::byte* const to = room_.data() + used_;
    std::memcpy(to, piece.iov_base, piece.iov_len);
    used_ += piece.iov_len;
    piece.iov_base = to;
    if (last == nullptr || static_cast<std::byte*>(last->iov_base) + last->iov_len != to) return false;
    last->iov_len += piece.iov_len;
    return true;
  }

 private:
  static thread_local std::array<std::byte, OutQueue::kJoinedBytes> room_;
  std::size_t used_ = 0;
};
thread_local std::array<std::byte, OutQueue::kJoinedBytes> Joiner::room_;

}  // namespace

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

void OutFrame::seal() {
  std::memmove(head.data() + kHeaderBytes + kMacBytes, head.data() + kHeaderBytes, head_bytes - kHeaderBytes);
  head_bytes += kMacBytes;
  sealed = true;
}

void OutFrame::put_mac(FrameMac& mac, std::uint64_t place) {
  if (number == place) return;
  // Of a message all is covered, of bulk the range. What is covered is in one place of the three.
  ConstByteSpan covered = ConstByteSpan(head).first(head_bytes).subspan(kHeaderBytes + kMacBytes);
  const ConstByteSpan text = payload.empty() && !bulk() ? borrowed : as_bytes(payload);
  CHECK(covered.empty() || text.empty());
  if (covered.empty()) covered = text;
  const Mac value = mac.compute(place, ConstByteSpan(head).first(kHeaderBytes), covered);
  std::ranges::copy(value, head.begin() + kHeaderBytes);
  number = place;
}

std::string OutQueue::last(OutFrame frame) {
  CHECK(between_frames());
  std::string bytes;
  const auto append = [&](const OutFrame& what) {
    bytes.append(reinterpret_cast<const char*>(what.head.data()), what.head_bytes).append(what.payload);
  };
  if (mac_) {
    // A frame with a MAC means nothing before the proof, which may still wait.
    for (const std::deque<OutFrame>* queue : {&wire_, &urgent_}) {
      for (const OutFrame& waiting : *queue) {
        if (!waiting.sealed) append(waiting);
      }
    }
    frame.seal();
    frame.put_mac(*mac_, front_number_);
  }
  append(frame);
  return bytes;
}

void OutQueue::push(OutFrame frame) {
  if (mac_) frame.seal();
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
  std::uint64_t number = front_number_;
  Joiner joiner;
  const auto add = [&](const void* data, std::size_t size) {
    const std::size_t skipped = std::min(skip, size);
    skip -= skipped;
    if (size == skipped) return;
    iovec piece{static_cast<std::byte*>(const_cast<void*>(data)) + skipped, size - skipped};
    if (!joiner.join(piece, count > 0 ? &pieces_[count - 1] : nullptr)) pieces_[count++] = piece;
  };
  for (OutFrame& frame : wire_) {
    if (count + 3 > kGatherMax || (count > 0 && frame.fd.valid())) break;
    const bool alone = frame.fd.valid() && front_sent_ == 0;
    if (alone) fd = frame.fd.get();
    if (frame.sealed) frame.put_mac(*mac_, number++);
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
    const bool lent = wire_.front().bulk() && !wire_.front().borrowed.empty();
    if (wire_.front().sealed) ++front_number_;
    const FrameHeader header = wire_.front().header;
    wire_.pop_front();
    if (lent) on_sent(header);
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
  // Behind a partly sent answer that was let go there may be another to the same request: the peer has asked again.
  const auto unsent = wire_.begin() + (front_sent_ > 0 ? 1 : 0);
  const auto found = std::find_if(unsent, wire_.end(), match);
  if (found == wire_.end()) return false;
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
  if (frame.borrowed.empty()) return LetGo::kCopied;  // already: who asks twice may do so because of what a peer says
  // Sent bytes keep their place in the copy, so that front_sent_ stays true; what they hold does not matter.
  frame.payload.resize(frame.borrowed.size());
  const std::size_t sent = front_sent_ - std::min(front_sent_, frame.head_bytes);
  std::memcpy(frame.payload.data() + sent, frame.borrowed.data() + sent, frame.borrowed.size() - sent);
  frame.borrowed = {};
  return LetGo::kCopied;
}

}  // namespace mooncake::transfer
