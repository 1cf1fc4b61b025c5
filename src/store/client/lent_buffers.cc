#include "store/client/lent_buffers.h"

#include <memory>
#include <utility>

namespace mooncake::store {

Result<transfer::SegmentHandle> LentBuffers::lend(ByteSpan buffer, transfer::Access access) {
  MC_ASSIGN_OR_RETURN(const transfer::SegmentHandle segment, engine_.register_memory(buffer, access));
  segments_.push_back(segment);
  return segment;
}

void LentBuffers::take_back(absl::AnyInvocable<void()> done) {
  if (segments_.empty()) return done();
  struct Join {
    std::size_t outstanding;
    absl::AnyInvocable<void()> done;
  };
  const auto join = std::make_shared<Join>(Join{segments_.size(), std::move(done)});  // shared by the callbacks
  std::vector<transfer::SegmentHandle> segments;
  segments.swap(segments_);
  for (const transfer::SegmentHandle segment : segments) {
    const Status revoked = engine_.unregister_memory(segment, [join] {
      if (--join->outstanding == 0) join->done();
    });
    CHECK(revoked.ok());  // registered by us, and not revoked before
  }
}

}  // namespace mooncake::store
