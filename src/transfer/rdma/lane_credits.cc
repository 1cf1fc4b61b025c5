#include "transfer/rdma/lane_credits.h"

#include <fmt/format.h>

namespace mooncake::transfer {

Status LaneCredits::on_report(std::uint32_t total, bool alone) {
  const std::uint32_t more = total - emptied_there_;
  if (more > sent_ - emptied_there_) {
    return {Code::kCorrupt, fmt::format("the peer says that it has taken {} pieces more, of {} that are on their way",
                                        more, sent_ - emptied_there_)};
  }
  if (alone && more == 0) return {Code::kCorrupt, "an empty piece that reports nothing new"};
  emptied_there_ = total;
  return {};
}

}  // namespace mooncake::transfer
