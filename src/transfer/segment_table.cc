#include "transfer/segment_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <utility>

namespace mooncake::transfer {
namespace {

bool allows(Access granted, Access needed) {
  return (static_cast<unsigned>(granted) & static_cast<unsigned>(needed)) == static_cast<unsigned>(needed);
}

}  // namespace

Result<SegmentHandle> SegmentTable::add(ByteSpan memory, MemoryKind kind, Access access) {
  if (memory.empty() || memory.data() == nullptr)
    return Status(Code::kInvalidArgument, "a segment needs at least one byte");
  Entry entry;
  entry.begin = memory.data();
  entry.bytes = memory.size();
  entry.kind = kind;
  entry.access = access;
  MutexLock lock(mutex_);
  return add(std::move(entry));
}

Result<SegmentHandle> SegmentTable::add_file(std::unique_ptr<const OpenFile> file) {
  Entry entry;
  entry.bytes = file->bytes();
  entry.access = file->writable() ? Access::kReadWrite : Access::kRead;
  entry.file = std::move(file);
  MutexLock lock(mutex_);
  return add(std::move(entry));
}

Result<SegmentHandle> SegmentTable::add(Entry entry) {
  if (free_.empty() && entries_.size() >= kSegmentsMax) {
    return Status(Code::kExhausted, fmt::format("{} segments are registered, the most there can be", kSegmentsMax));
  }
  std::uint32_t index = 0;
  if (free_.empty()) {
    index = static_cast<std::uint32_t>(entries_.size());
    entries_.emplace_back();
  } else {
    index = free_.back();
    free_.pop_back();
  }
  if (generation_next_ == 0) ++generation_next_;  // 0 is SegmentHandle{}, which names nothing
  entry.generation = generation_next_++;
  entry.live = true;
  if (entry.begin != nullptr) memory_.add({entry.begin, entry.bytes}, index);
  entries_[index] = std::move(entry);
  return SegmentHandle{index, entries_[index].generation};
}

bool SegmentTable::is_file(SegmentHandle segment) {
  MutexLock lock(mutex_);
  const Entry* entry = find(segment);
  return entry != nullptr && entry->file != nullptr;
}

SegmentTable::Entry* SegmentTable::find(SegmentHandle segment) {
  if (segment.index >= entries_.size()) return nullptr;
  Entry& entry = entries_[segment.index];
  return entry.generation == segment.generation && segment.generation != 0 ? &entry : nullptr;
}

SegmentTable::Entry SegmentTable::take_out(std::uint32_t index) {
  free_.push_back(index);
  return std::exchange(entries_[index], Entry{});
}

Status SegmentTable::revoke(SegmentHandle segment, Done done) {
  {
    Entry gone;  // closes its file, which may take a while, after the lock is released
    MutexLock lock(mutex_);
    Entry* entry = find(segment);
    if (entry == nullptr || !entry->live) return {Code::kStale, "no such segment: it was unregistered before"};
    entry->live = false;
    if (entry->begin != nullptr) memory_.remove({entry->begin, entry->bytes}, segment.index);
    if (entry->holds > 0) {
      entry->done = std::move(done);
      return {};
    }
    gone = take_out(segment.index);
  }
  if (done) done();
  return {};
}

Status SegmentTable::check(const Entry* entry, const BulkRange& range, Access needed) {
  if (entry == nullptr || !entry->live) {
    return {Code::kStale, fmt::format("segment {} has no generation {:016x} (any more)", range.segment.index,
                                      range.segment.generation)};
  }
  if (!allows(entry->access, needed)) {
    return {Code::kPermissionDenied, fmt::format("segment {} does not allow peers to {}", range.segment.index,
                                                 needed == Access::kRead ? "read" : "write")};
  }
  if (range.offset > entry->bytes || range.length > entry->bytes - range.offset) {
    return {Code::kOutOfRange, fmt::format("{} bytes at {} of segment {}, which has {}", range.length, range.offset,
                                           range.segment.index, entry->bytes)};
  }
  return {};
}

Result<HeldMemory> SegmentTable::acquire(const BulkRange& range, Access needed) {
  MutexLock lock(mutex_);
  Entry* entry = find(range.segment);
  if (entry != nullptr && entry->live && entry->file != nullptr) {
    return Status(Code::kPermissionDenied,
                  fmt::format("segment {} is a file: files are moved by their own engine; ask it to, by a message",
                              range.segment.index));
  }
  MC_RETURN_IF_ERROR(check(entry, range, needed));
  ++entry->holds;
  return HeldMemory{entry->begin + range.offset, entry->kind};
}

Result<const OpenFile*> SegmentTable::acquire_file(const BulkRange& range, Access needed) {
  MutexLock lock(mutex_);
  Entry* entry = find(range.segment);
  MC_RETURN_IF_ERROR(check(entry, range, needed));
  if (entry->file == nullptr) {
    return Status(Code::kInvalidArgument, fmt::format("segment {} is memory, not a file", range.segment.index));
  }
  ++entry->holds;
  return entry->file.get();
}

bool SegmentTable::is_device(SegmentHandle segment) {
  MutexLock lock(mutex_);
  const Entry* entry = find(segment);
  return entry != nullptr && entry->kind == MemoryKind::kCuda;
}

bool SegmentTable::contains(const Entry& entry, ConstByteSpan memory) {
  const std::less_equal<const std::byte*> before;
  return before(entry.begin, memory.data()) && before(memory.data() + memory.size(), entry.begin + entry.bytes);
}

Result<MemoryKind> SegmentTable::acquire_local(ConstByteSpan local, std::vector<SegmentHandle>& held) {
  const std::size_t held_before = held.size();
  bool inside = false;
  MemoryKind kind = MemoryKind::kHost;  // one address space: what overlaps is of one kind
  MutexLock lock(mutex_);
  memory_.overlapping(local, [&](std::uint32_t index) NO_THREAD_SAFETY_ANALYSIS {  // inside the lock
    Entry& entry = entries_[index];
    inside = inside || contains(entry, local);
    kind = entry.kind;
    const SegmentHandle handle{index, entry.generation};
    if (std::ranges::find(held, handle) != held.end()) return;
    held.push_back(handle);
    ++entry.holds;
  });
  if (inside) return kind;
  for (std::size_t i = held_before; i < held.size(); ++i) --entries_[held[i].index].holds;
  held.resize(held_before);
  return Status(Code::kInvalidArgument, "the local range lies in no registered segment");
}

std::optional<SegmentTable::Area> SegmentTable::area_of(ConstByteSpan memory) {
  std::optional<Area> longest;
  MutexLock lock(mutex_);
  memory_.overlapping(memory, [&](std::uint32_t index) NO_THREAD_SAFETY_ANALYSIS {  // inside the lock
    const Entry& entry = entries_[index];
    if (!contains(entry, memory)) return;
    if (longest.has_value() && longest->memory.size() >= entry.bytes) return;
    longest = Area{.segment = {index, entry.generation}, .memory = {entry.begin, entry.bytes}, .kind = entry.kind};
  });
  return longest;
}

void SegmentTable::release(SegmentHandle segment) {
  Done done;
  {
    Entry gone;  // closes its file after the lock is released
    MutexLock lock(mutex_);
    Entry* entry = find(segment);
    CHECK(entry != nullptr && entry->holds > 0);
    if (--entry->holds > 0 || entry->live) return;
    done = std::move(entry->done);
    gone = take_out(segment.index);
  }
  if (done) done();
}

}  // namespace mooncake::transfer
