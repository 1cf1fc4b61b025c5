// FileWorker: one batch after another between memory and a file of this engine, beside a model of what the file holds.
// A thread of its own.
#pragma once

#include <unistd.h>

#include <filesystem>
#include <string>

#include "worker.h"

namespace mooncake::soak {

class FileWorker {
 public:
  FileWorker(transfer::TransferEngine& engine, std::uint64_t seed, Totals& totals)
      : engine_(engine), rng_(seed), totals_(totals), memory_(*engine.allocate_shared(kBytes)), model_(kBytes) {
    std::string path = (std::filesystem::temp_directory_path() / "mooncake-soak-XXXXXX").string();
    file_ = UniqueFd(::mkstemp(path.data()));
    CHECK(file_.valid());
    segment_ = *engine.register_file(path, {.writable = true, .bytes = kBytes});
    ::unlink(path.c_str());
    CHECK(engine.register_memory(memory_, transfer::Access::kNone).ok());
  }

  void run_until(Instant end) {
    while (clock_now() < end && totals_.failures == 0) one_batch();
  }

 private:
  using Op = transfer::TransferRequest::Op;
  static constexpr std::size_t kBytes = 16u << 20;

  void one_batch() {
    const std::size_t grain = rng_.below(2) == 0 ? 4096 : 1;  // with and without the page cache
    const std::size_t length = std::max((1 + rng_.below(std::size_t{1} << rng_.below(24))) / grain * grain, grain);
    const std::size_t at = rng_.below(kBytes - length + 1) / grain * grain;
    const Op op = rng_.below(2) == 0 ? Op::kRead : Op::kWrite;
    const ByteSpan local = memory_.subspan(at, length);
    const std::vector<std::byte> content = transfer::noise(length, rng_.next());
    std::memcpy(local.data(), content.data(), length);
    const bool cancel = rng_.below(8) == 0;
    const Status status = move(op, local, at, cancel);
    ++totals_.by_code.at(static_cast<std::size_t>(status.code()));
    if (!status.ok() && !(cancel && status.code() == Code::kCancelled)) totals_.fail("file: " + status.to_string());
    if (op == Op::kWrite)
      check_file(at, content, status.ok());
    else
      check_memory(local, at, content, status.ok());
    if (status.ok()) totals_.bytes += length;
  }

  Status move(Op op, ByteSpan local, std::size_t at, bool cancel) {
    transfer::Later<Status> done;
    const transfer::TransferRequest request{.op = op, .local = local, .segment = segment_, .offset = at};
    const transfer::Batch batch = engine_.submit(*engine_.connect(engine_.name()), std::span(&request, 1),
                                                 clock_now() + Seconds(60), std::nullopt, done.setter());
    if (cancel) engine_.cancel(batch);
    if (!done.wait_until(clock_now() + Seconds(60) + kLate)) {
      totals_.fail("a batch with a file is stuck");
      std::abort();
    }
    return done.get();
  }
  /// The file holds what was written, or, if that was given up, in each byte either that or what it held.
  void check_file(std::size_t at, const std::vector<std::byte>& content, bool complete) {
    std::vector<std::byte> found(content.size());
    CHECK(::pread(file_.get(), found.data(), found.size(), static_cast<off_t>(at)) ==
          static_cast<ssize_t>(found.size()));
    for (std::size_t i = 0; i < found.size(); ++i) {
      if (found[i] == content[i] || (!complete && found[i] == model_[at + i])) continue;
      return totals_.fail(fmt::format("byte {} of the file is wrong", at + i));
    }
    std::memcpy(model_.data() + at, found.data(), found.size());
  }
  void check_memory(ByteSpan local, std::size_t at, const std::vector<std::byte>& before, bool complete) {
    for (std::size_t i = 0; i < local.size(); ++i) {
      if (local[i] == model_[at + i] || (!complete && local[i] == before[i])) continue;
      return totals_.fail(fmt::format("byte {} that was read from the file is wrong", at + i));
    }
  }

  transfer::TransferEngine& engine_;
  Rng rng_;
  Totals& totals_;
  ByteSpan memory_;
  std::vector<std::byte> model_;
  UniqueFd file_;
  transfer::SegmentHandle segment_;
};

}  // namespace mooncake::soak
