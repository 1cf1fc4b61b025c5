#include "transfer/segment_table.h"

#include <fmt/format.h>

#include <algorithm>
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

Result<MemoryKind> SegmentTable::acquire_local(ConstByteSpan local, std::vector<SegmentHandle>& held) {
  const auto begin = reinterpret_cast<std::uintptr_t>(local.data());
  const std::uintptr_t end = begin + local.size();
  const std::size_t held_before = held.size();
  bool inside = false;
  MemoryKind kind = MemoryKind::kHost;  // one address space: what overlaps is of one kind
  MutexLock lock(mutex_);
  for (std::uint32_t index = 0; index < entries_.size(); ++index) {
    Entry& entry = entries_[index];
    const auto entry_begin = reinterpret_cast<std::uintptr_t>(entry.begin);
    const std::uintptr_t entry_end = entry_begin + entry.bytes;
    if (!entry.live || entry.begin == nullptr || entry_end <= begin || end <= entry_begin) continue;
    inside = inside || (entry_begin <= begin && end <= entry_end);
    kind = entry.kind;
    const SegmentHandle handle{index, entry.generation};
    if (std::ranges::find(held, handle) != held.end()) continue;
    held.push_back(handle);
    ++entry.holds;
  }
  if (inside) return kind;
  for (std::size_t i = held_before; i < held.size(); ++i) --entries_[held[i].index].holds;
  held.resize(held_before);
  return Status(Code::kInvalidArgument, "the local range lies in no registered segment");
}

std::optional<SegmentTable::Area> SegmentTable::area_of(ConstByteSpan memory) {
  const auto begin = reinterpret_cast<std::uintptr_t>(memory.data());
  MutexLock lock(mutex_);
  for (std::uint32_t index = 0; index < entries_.size(); ++index) {
    const Entry& entry = entries_[index];
    const auto entry_begin = reinterpret_cast<std::uintptr_t>(entry.begin);
    if (!entry.live || entry.begin == nullptr || begin < entry_begin ||
        begin + memory.size() > entry_begin + entry.bytes)
      continue;
    return Area{.segment = {index, entry.generation}, .memory = {entry.begin, entry.bytes}, .kind = entry.kind};
  }
  return std::nullopt;
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
