// Worker: one batch after another between memory of this engine and one slot of a peer, each of random size, cut,
// deadline and fate, and each checked to the last byte. A thread each.
#pragma once

#include <algorithm>
#include <functional>
#include <string>
#include <thread>

#include "slot_server.h"
#include "totals.h"
#include "transfer/test_node.h"
#include "transfer/test_slowdown.h"

namespace mooncake::soak {

/// An operation that takes longer than its deadline and this is stuck: a lost peer is noticed in 10 s, and a stopped
/// one holds memory for as long as it is stopped.
inline constexpr Millis kLate = Millis(15'000) * (transfer::kSanitized ? 3 : 1);

inline Instant clock_now() { return std::chrono::steady_clock::now(); }

class Worker {
 public:
  struct Target {
    std::function<std::string()> name;  ///< of the engine; it may change
    bool can_be_lost = false;           ///< it is killed now and then
  };

  Worker(transfer::TransferEngine& engine, Target target, int slot, std::uint64_t seed, Totals& totals)
      : engine_(engine), target_(std::move(target)), slot_(slot), rng_(seed), totals_(totals) {
    if (slot % 2 == 0) {
      memory_ = *engine.allocate_shared(kSlotBytes);
    } else {
      heap_.resize(kSlotBytes);
      memory_ = heap_;
    }
    leave_canary(memory_.size());  // and has it resident from the beginning
  }

  void run_until(Instant end) {
    while (clock_now() < end && totals_.failures == 0) one_batch();
  }

 private:
  using Op = transfer::TransferRequest::Op;
  enum class Fate : std::uint8_t { kNothing, kShortDeadline, kCancel, kRevokeThere, kRevokeHere };

  struct Plan {
    Op op = Op::kRead;
    Fate fate = Fate::kNothing;
    bool notify = false;
    std::size_t offset = 0;
    std::size_t length = 0;
    std::size_t bytes = 0;  ///< of the slot that are in use
    std::uint64_t seed_here = 0;
    std::uint64_t seed_there = 0;
    Millis deadline{0};
  };

  Plan plan() {
    Plan plan;
    plan.op = rng_.below(2) == 0 ? Op::kRead : Op::kWrite;
    const std::uint64_t dice = rng_.below(20);
    plan.fate = dice < 12 ? Fate::kNothing : static_cast<Fate>(1 + dice % 4);
    plan.notify = plan.op == Op::kWrite && rng_.below(4) == 0;
    // From 1 byte to 32 MiB, each order of magnitude as often; under sanitizers to 2 MiB.
    plan.length = 1 + rng_.below(std::size_t{1} << rng_.below(transfer::kSanitized ? 22 : 26));
    plan.offset = rng_.below(5000);
    plan.bytes = std::min(plan.offset + plan.length + rng_.below(5000), kSlotBytes);
    plan.length = std::min(plan.length, plan.bytes - plan.offset);
    plan.seed_here = rng_.next();
    plan.seed_there = rng_.next();
    plan.deadline = plan.fate == Fate::kShortDeadline ? Millis(1 + rng_.below(30)) : Millis(10'000);
    return plan;
  }

  void one_batch() {
    const Plan now = plan();
    const Result<std::string> reset = ask(kReset, fmt::format("{} {} {}", slot_, now.seed_there, now.bytes));
    if (!reset.ok()) return;  // the peer is away; ask() has checked that it may be
    transfer::SegmentHandle there;
    Expected remote{.slot = slot_, .bytes = now.bytes, .seed = now.seed_there, .offset = now.offset};
    std::istringstream(*reset) >> remote.incarnation >> there.index >> there.generation;
    if (now.op == Op::kWrite) remote.length = now.length, remote.other_seed = now.seed_here;

    check_canary();
    const std::vector<std::byte> content = transfer::noise(now.bytes, now.seed_here);
    std::memcpy(memory_.data(), content.data(), now.bytes);
    const transfer::SegmentHandle here = *engine_.register_memory(memory_.first(now.bytes), transfer::Access::kNone);
    const Status status = move(now, there, here, remote);
    ++totals_.by_code.at(static_cast<std::size_t>(status.code()));
    check_here(now, status);
    if (now.fate != Fate::kRevokeThere) check_there(now, remote, status);
    leave_canary(now.bytes);
  }

  /// Runs the batch and what is to happen meanwhile. Returns when the batch has ended and its memory is free.
  Status move(const Plan& now, transfer::SegmentHandle there, transfer::SegmentHandle here, Expected remote) {
    transfer::Later<Status> done;
    transfer::Later<bool> here_free;
    remote.complete = true;
    std::optional<transfer::Notify> notify;
    if (now.notify) notify = transfer::Notify{kNotified, remote.encode()};
    const Instant begun = clock_now();
    const transfer::Batch batch = engine_.submit(*engine_.connect(target_.name()), requests(now, there),
                                                 begun + now.deadline, std::move(notify), done.setter());
    if (now.fate != Fate::kNothing && now.fate != Fate::kShortDeadline) {
      std::this_thread::sleep_for(std::chrono::microseconds(rng_.below(3'000)));  // at any moment of the batch
    }
    if (now.fate == Fate::kCancel) engine_.cancel(batch);
    if (now.fate == Fate::kRevokeHere) unregister(here, here_free);
    if (now.fate == Fate::kRevokeThere) revoke_there(now, remote);
    if (!done.wait_until(begun + now.deadline + kLate)) {
      totals_.fail(fmt::format("a batch with {} is stuck", target_.name()));
      std::abort();  // it still owns our memory
    }
    Status status = done.get();
    if (!allowed(now, status, begun)) totals_.fail("a batch ended with " + status.to_string());
    if (now.fate != Fate::kRevokeHere) unregister(here, here_free);
    if (!here_free.wait_until(clock_now() + kLate)) totals_.fail("a segment is held though its batch has ended");
    if (status.ok() && now.notify) ++totals_.notifies;
    return status;
  }

  std::vector<transfer::TransferRequest> requests(const Plan& now, transfer::SegmentHandle there) {
    std::vector<transfer::TransferRequest> all;
    const std::size_t piece_max = 1 + rng_.below(now.length);
    for (std::size_t at = 0; at < now.length;) {
      const std::size_t left = transfer::kBatchRequestsMax - all.size();
      const std::size_t piece = left == 1 ? now.length - at : std::min(now.length - at, 1 + rng_.below(piece_max));
      all.push_back({.op = now.op,
                     .local = memory_.subspan(now.offset + at, piece),
                     .segment = there,
                     .offset = now.offset + at});
      at += piece;
    }
    for (std::size_t i = all.size(); i > 1; --i) std::swap(all[i - 1], all[rng_.below(i)]);
    return all;
  }

  bool allowed(const Plan& now, const Status& status, Instant begun) const {
    switch (status.code()) {
      case Code::kOk:
        return true;
      case Code::kDeadlineExceeded:
        return clock_now() >= begun + now.deadline;
      case Code::kCancelled:
        return now.fate == Fate::kCancel;
      case Code::kStale:
        return now.fate == Fate::kRevokeThere || target_.can_be_lost;
      case Code::kPeerLost:
      case Code::kUnavailable:
        return target_.can_be_lost;
      default:
        return false;
    }
  }

  void unregister(transfer::SegmentHandle here, transfer::Later<bool>& free) {
    const Status status = engine_.unregister_memory(here, [set = free.setter()] { set(true); });
    if (!status.ok()) totals_.fail("cannot unregister: " + status.to_string());
  }

  /// Takes the memory away while the batch moves it, and puts something else there at once, which must stay.
  void revoke_there(const Plan& now, const Expected& remote) {
    const std::uint64_t seed = rng_.next();
    ++totals_.revocations;
    if (!ask(kRevoke, fmt::format("{} {} {}", slot_, seed, now.bytes)).ok()) return;
    std::this_thread::sleep_for(std::chrono::microseconds(rng_.below(2'000)));  // what comes late comes now
    const Expected after{.incarnation = remote.incarnation, .slot = slot_, .bytes = now.bytes, .seed = seed};
    const Result<std::string> answer = ask(kCheck, after.encode());
    if (answer.ok() && *answer != "gone" && !answer->starts_with("fine"))
      totals_.fail("after a revocation: " + *answer);
  }

  void check_here(const Plan& now, const Status& status) {
    if (now.fate == Fate::kRevokeHere) ++totals_.revocations;
    Expected local{.bytes = now.bytes, .seed = now.seed_here, .offset = now.offset};
    if (now.op == Op::kRead) local.length = now.length, local.other_seed = now.seed_there;
    // Also of a read whose source is taken away meanwhile: what is put there then is never seen.
    local.complete = now.op == Op::kWrite || status.ok();
    const std::string wrong = local.check(memory_);
    if (!wrong.empty()) totals_.fail("here, after " + status.to_string() + ": " + wrong);
  }

  void check_there(const Plan& now, Expected remote, const Status& status) {
    remote.complete = status.ok();
    const Result<std::string> answer = ask(kCheck, remote.encode());
    if (!answer.ok() || *answer == "gone") {
      ++totals_.unchecked;
      return;
    }
    if (!answer->starts_with("fine")) return totals_.fail("there, after " + status.to_string() + ": " + *answer);
    const int notifies = std::stoi(answer->substr(5));
    const bool right = status.ok() ? notifies == (now.notify ? 1 : 0) : notifies <= (now.notify ? 1 : 0);
    if (!right) totals_.fail(fmt::format("{} notifies after {}", notifies, status.to_string()));
    if (status.ok()) totals_.bytes += now.length;
  }

  /// Between batches nobody may write here: what comes late would show.
  void leave_canary(std::size_t bytes) {
    std::memset(memory_.data(), kCanary, bytes);
    canary_bytes_ = bytes;
  }
  void check_canary() {
    const auto* bytes = reinterpret_cast<const unsigned char*>(memory_.data());
    if (canary_bytes_ == 0) return;
    if (bytes[0] != kCanary || std::memcmp(bytes, bytes + 1, canary_bytes_ - 1) != 0) {
      totals_.fail("memory was written after its batch had ended");
    }
  }

  /// A message to the peer; again if it was lost.
  Result<std::string> ask(std::uint16_t method, const std::string& payload) {
    const Instant begun = clock_now();
    for (;;) {
      Result<std::string> answer = engine_.call_and_wait(*engine_.connect(target_.name()), method, payload,
                                                         clock_now() + Millis(12'000) * transfer::kSlowdown);
      if (answer.ok()) return answer;
      const Code code = answer.status().code();
      // A process that has just begun listens before it serves.
      const bool away = code == Code::kPeerLost || code == Code::kUnavailable || code == Code::kUnsupported;
      if (!away || !target_.can_be_lost) {
        totals_.fail("a message: " + answer.status().to_string());
        return answer;
      }
      if (clock_now() > begun + 2 * kLate) {
        totals_.fail("a peer does not come back: " + answer.status().to_string());
        return answer;
      }
      std::this_thread::sleep_for(Millis(5));  // until it is started again
    }
  }

  static constexpr int kCanary = 0xc5;

  transfer::TransferEngine& engine_;
  const Target target_;
  const int slot_;
  Rng rng_;
  Totals& totals_;
  std::vector<std::byte> heap_;
  ByteSpan memory_;
  std::size_t canary_bytes_ = 0;
};

}  // namespace mooncake::soak
