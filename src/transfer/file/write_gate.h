// WriteGate: lets direct and buffered writes to one file take turns, in the order in which they came.
//
// The kernel keeps direct and buffered access to one file coherent as long as they do not overlap in time. A buffered
// write beside a direct one may dirty the page (or the large folio) that the direct one passes by, with what the disk
// had before it; later readers would see that. Reads do no harm: what a read caches is clean, and dropped after the
// write. Pure; loop thread only.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <vector>

#include "transfer/file/open_file.h"

namespace mooncake::transfer {

class WriteGate {
 public:
  /// @return whether write `id` may begin now. Otherwise leave() of another names it, unless it is forgotten.
  bool enter(FileId file, bool direct, std::uint64_t id);
  /// A write that had begun is over. @return those that may begin now.
  std::vector<std::uint64_t> leave(FileId file);
  /// Takes out one that waits. @return false if it does not.
  bool forget(FileId file, std::uint64_t id);

 private:
  struct Waiting {
    std::uint64_t id = 0;
    bool direct = false;
  };
  struct Turn {
    bool direct = false;  // which kind runs now
    std::size_t running = 0;
    std::deque<Waiting> waiting;
  };

  std::map<FileId, Turn> turns_;  // of the files that are being written; at most one a slice in flight
};

}  // namespace mooncake::transfer
