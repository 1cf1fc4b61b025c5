// SegmentHold: one hold on a segment, which this releases when it is destroyed. For what may end in many ways.
#pragma once

#include <utility>

#include "transfer/segment_table.h"

namespace mooncake::transfer {

class SegmentHold {
 public:
  /// Takes over a hold that acquire() gave.
  SegmentHold(SegmentTable& table, SegmentHandle segment) : table_(&table), segment_(segment) {}
  SegmentHold(SegmentHold&& other) noexcept : table_(std::exchange(other.table_, nullptr)), segment_(other.segment_) {}
  SegmentHold& operator=(SegmentHold&&) = delete;
  ~SegmentHold() {
    if (table_ != nullptr) table_->release(segment_);
  }

 private:
  SegmentTable* table_;
  SegmentHandle segment_;
};

}  // namespace mooncake::transfer
