// SegmentTable: the registered memory and files of one engine. Checks every access from outside, and counts who is
// using what, so that memory goes back to its owner, and a file is closed, only when nobody touches it.
//
// A generation is used once: it counts up from a random start, so a handle of an earlier process at the same address is
// as stale as one of an earlier registration here. Thread-safe.
#pragma once

#include <absl/functional/any_invocable.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "base/bytes.h"
#include "base/mutex.h"
#include "base/status.h"
#include "transfer/file/open_file.h"
#include "transfer/frame.h"
#include "transfer/segment_index.h"

namespace mooncake::transfer {

/// A store client registers each buffer of each request for its duration; 65,536 is far above what a node has in
/// flight, and keeps a leak from growing unseen.
inline constexpr std::size_t kSegmentsMax = 65'536;

/// Memory of a segment that is held. Only of the host may it be read and written through `at`.
struct HeldMemory {
  std::byte* at = nullptr;
  MemoryKind kind = MemoryKind::kHost;
};

class SegmentTable {
 public:
  using Done = absl::AnyInvocable<void()>;

  /// Generations count up from `generation_first`, which is random in a real engine.
  explicit SegmentTable(std::uint64_t generation_first) : generation_next_(generation_first) {}

  /// @return kInvalidArgument for an empty range, kExhausted at kSegmentsMax.
  Result<SegmentHandle> add(ByteSpan memory, MemoryKind kind, Access access) EXCLUDES(mutex_);

  /// All of `file`, for this engine. @return kExhausted at kSegmentsMax; then the file is closed.
  Result<SegmentHandle> add_file(std::unique_ptr<const OpenFile> file) EXCLUDES(mutex_);
  /// Whether it is a file, revoked or not.
  [[nodiscard]] bool is_file(SegmentHandle segment) EXCLUDES(mutex_);

  /// From now on the handle is stale. `done` runs once the last hold is released: inside this call or that release().
  /// A file is closed before.
  /// @return kStale if there is no such segment; then `done` is dropped.
  Status revoke(SegmentHandle segment, Done done) EXCLUDES(mutex_);

  /// Checks an access from outside and holds the segment for it. Nothing is read or written.
  /// @return kStale, kPermissionDenied (also for every file), kOutOfRange (offset + length may wrap around: checked
  /// without adding).
  Result<HeldMemory> acquire(const BulkRange& range, Access needed) EXCLUDES(mutex_);
  /// The same for an access of this engine to one of its files, which stays open until release().
  /// @return also kInvalidArgument if it is memory.
  Result<const OpenFile*> acquire_file(const BulkRange& range, Access needed) EXCLUDES(mutex_);

  /// Holds every segment that shares bytes with `local`, each once in `held` however often it is asked for.
  /// @return its kind; kInvalidArgument if no segment contains all of `local`; then nothing new is held.
  /// O(log segments + those that share bytes).
  Result<MemoryKind> acquire_local(ConstByteSpan local, std::vector<SegmentHandle>& held) EXCLUDES(mutex_);
  /// Whether it is a device's memory, revoked or not.
  [[nodiscard]] bool is_device(SegmentHandle segment) EXCLUDES(mutex_);

  /// A live segment and all of its memory.
  struct Area {
    SegmentHandle segment;
    ByteSpan memory;
    MemoryKind kind = MemoryKind::kHost;
  };
  /// The longest segment that contains all of `memory`, if one does: where it can be registered with a network card,
  /// for other slices too. As fast as acquire_local().
  [[nodiscard]] std::optional<Area> area_of(ConstByteSpan memory) EXCLUDES(mutex_);

  /// Ends one hold.
  void release(SegmentHandle segment) EXCLUDES(mutex_);

 private:
  struct Entry {
    std::byte* begin = nullptr;
    std::size_t bytes = 0;
    std::uint64_t generation = 0;
    std::uint32_t holds = 0;
    MemoryKind kind = MemoryKind::kHost;
    Access access = Access::kNone;
    bool live = false;                     // registered and not revoked
    Done done;                             // set by revoke() while there are holds
    std::unique_ptr<const OpenFile> file;  // then `begin` is null
  };

  Result<SegmentHandle> add(Entry entry) REQUIRES(mutex_);
  Entry* find(SegmentHandle segment) REQUIRES(mutex_);
  static Status check(const Entry* entry, const BulkRange& range, Access needed);
  static bool contains(const Entry& entry, ConstByteSpan memory);
  Entry take_out(std::uint32_t index) REQUIRES(mutex_);

  Mutex mutex_;
  std::vector<Entry> entries_ GUARDED_BY(mutex_);
  SegmentIndex memory_ GUARDED_BY(mutex_);  // the live ones that are memory
  std::vector<std::uint32_t> free_ GUARDED_BY(mutex_);
  std::uint64_t generation_next_ GUARDED_BY(mutex_);
};

}  // namespace mooncake::transfer
