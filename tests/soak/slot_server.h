// SlotServer: memory of an engine that peers fill, check and revoke by messages. It lives in every engine of a soak;
// its handlers run on the engine's own thread, so none of them sees a byte on its way.
//
// A slot holds noise of a seed, in its first bytes; all of it can be told again from the seed, so that every byte can
// be checked. Before a slot is used again its segment is revoked: what a batch that was given up still has on its way
// must not arrive.
#pragma once

#include <fmt/format.h>

#include <functional>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include "base/rng.h"
#include "transfer/test_node.h"
#include "transfer/transfer_engine.h"

namespace mooncake::soak {

inline constexpr int kSlots = 3;
inline constexpr std::size_t kSlotBytes = 33u << 20;

inline constexpr std::uint16_t kReset = 960;     ///< slot, seed, bytes -> incarnation, segment; it holds that noise
inline constexpr std::uint16_t kRevoke = 961;    ///< slot, seed, bytes -> nothing; the same, with no segment
inline constexpr std::uint16_t kCheck = 962;     ///< Expected -> "gone", "fine NOTIFIES", or what is wrong
inline constexpr std::uint16_t kNotified = 963;  ///< Expected; a notify

/// What memory must hold: noise of one seed, and in a range of it noise of another: all of that, or any bytes of it.
struct Expected {
  std::uint64_t incarnation = 0;
  int slot = 0;
  std::size_t bytes = 0;
  std::uint64_t seed = 0;
  std::size_t offset = 0;
  std::size_t length = 0;
  std::uint64_t other_seed = 0;
  bool complete = false;

  [[nodiscard]] std::string encode() const {
    return fmt::format("{} {} {} {} {} {} {} {}", incarnation, slot, bytes, seed, offset, length, other_seed,
                       complete ? 1 : 0);
  }
  static Expected decode(const std::string& text) {
    Expected e;
    std::istringstream(text) >> e.incarnation >> e.slot >> e.bytes >> e.seed >> e.offset >> e.length >> e.other_seed >>
        e.complete;
    return e;
  }
  /// @return what is wrong with that memory, or nothing.
  [[nodiscard]] std::string check(ConstByteSpan memory) const {
    const std::vector<std::byte> outside = transfer::noise(bytes, seed);
    const std::vector<std::byte> inside = transfer::noise(bytes, other_seed);
    std::vector<std::byte> whole = outside;
    std::memcpy(whole.data() + offset, inside.data() + offset, length);
    if (complete && std::memcmp(memory.data(), whole.data(), bytes) == 0) return {};
    for (std::size_t i = 0; i < bytes; ++i) {
      const bool in_range = i >= offset && i < offset + length;
      const bool old = memory[i] == outside[i] && !(in_range && complete);
      if (old || (in_range && memory[i] == inside[i])) continue;
      return fmt::format("byte {} of {} is wrong; {} bytes at {} were {}", i, bytes, length, offset,
                         complete ? "moved" : "tried");
    }
    return {};
  }
};

class SlotServer {
 public:
  /// Serves from now on; it must outlive the engine's handlers.
  explicit SlotServer(transfer::TransferEngine& engine) : engine_(engine), slots_(kSlots) {
    for (int i = 0; i < kSlots; ++i) {
      if (i % 2 == 0) {
        slots_[i].memory = *engine.allocate_shared(kSlotBytes);
      } else {
        slots_[i].heap.resize(kSlotBytes);
        slots_[i].memory = slots_[i].heap;
      }
      std::memset(slots_[i].memory.data(), 0xc5, kSlotBytes);  // resident from the beginning
    }
    serve(kReset, [this](const std::string& payload, transfer::Responder responder) {
      reset(payload, true, std::move(responder));
    });
    serve(kRevoke, [this](const std::string& payload, transfer::Responder responder) {
      reset(payload, false, std::move(responder));
    });
    serve(kCheck,
          [this](const std::string& payload, transfer::Responder responder) { responder.reply(check(payload)); });
    serve(kNotified, [this](const std::string& payload, const transfer::Responder&) { notified(payload); });
  }

 private:
  struct Slot {
    ByteSpan memory;
    std::vector<std::byte> heap;
    std::optional<transfer::SegmentHandle> segment;
    bool draining = false;
    std::function<void()> when_free;
    int notifies = 0;
    std::string notified_early;
  };
  using Serve = std::function<void(const std::string&, transfer::Responder)>;

  void serve(std::uint16_t method, const Serve& handler) {
    engine_.serve(method, [handler](transfer::PeerHandle, const std::string& payload, transfer::Responder responder) {
      handler(payload, std::move(responder));
    });
  }

  void reset(const std::string& payload, bool register_again, transfer::Responder responder) {
    int number = 0;
    std::uint64_t seed = 0;
    std::size_t bytes = 0;
    std::istringstream(payload) >> number >> seed >> bytes;
    Slot& slot = slots_.at(number);
    // Who asked before has given up meanwhile: only the last one is answered.
    auto answer = std::make_shared<transfer::Responder>(std::move(responder));
    slot.when_free = [this, &slot, seed, bytes, register_again, answer] {
      const std::vector<std::byte> content = transfer::noise(bytes, seed);
      std::memcpy(slot.memory.data(), content.data(), bytes);
      slot.notifies = 0;
      slot.notified_early.clear();
      if (!register_again) return answer->reply(std::string());
      slot.segment = *engine_.register_memory(slot.memory.first(bytes), transfer::Access::kReadWrite);
      answer->reply(fmt::format("{} {} {}", incarnation_, slot.segment->index, slot.segment->generation));
    };
    if (slot.draining) return;
    slot.draining = true;
    const auto drained = [&slot] {
      slot.draining = false;
      std::exchange(slot.when_free, nullptr)();
    };
    if (!slot.segment.has_value()) return drained();
    CHECK(engine_.unregister_memory(*std::exchange(slot.segment, std::nullopt), drained).ok());
  }

  std::string check(const std::string& payload) {
    const Expected expected = Expected::decode(payload);
    if (expected.incarnation != incarnation_) return "gone";
    const Slot& slot = slots_.at(expected.slot);
    if (!slot.notified_early.empty()) return "notified early: " + slot.notified_early;
    const std::string wrong = expected.check(slot.memory);
    return wrong.empty() ? fmt::format("fine {}", slot.notifies) : wrong;
  }
  void notified(const std::string& payload) {
    const Expected expected = Expected::decode(payload);
    if (expected.incarnation != incarnation_) return;
    Slot& slot = slots_.at(expected.slot);
    // After a revocation the slot holds something else.
    if (slot.segment.has_value()) slot.notified_early = expected.check(slot.memory);
    ++slot.notifies;
  }

  transfer::TransferEngine& engine_;
  const std::uint64_t incarnation_ = random_seed() | 1;
  std::vector<Slot> slots_;
};

}  // namespace mooncake::soak
