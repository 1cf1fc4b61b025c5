// Between the store's types and its messages. Included by .cc files only: generated headers are slow to compile.
#pragma once

#include <cstddef>
#include <string>

#include "base/key128.h"
#include "base/status.h"
#include "proto/store.pb.h"
#include "store/core/member.h"
#include "transfer/transfer_engine.h"

namespace mooncake::store {

/// Keys in one message: 16 bytes each, a quarter of a message, so that replies with several replicas a key fit too.
inline constexpr std::size_t kKeysPerMessageMax = 16'384;
/// Values up to this travel inside put and get messages: below it a second round trip costs more than the extra copy.
inline constexpr std::size_t kInlineBytesMax = 64u << 10;
/// Items of one put or get message. A message is one transfer batch on the node, and answers as a whole.
inline constexpr std::size_t kItemsPerMessageMax = 1'024;
/// What a message may hold of items and inline values together; the rest is for what surrounds them.
inline constexpr std::size_t kItemBytesPerMessageMax = transfer::kMessageBytesMax - (16u << 10);
/// An item without its value, at most; also of a reply's item with a message of kStatusTextMax.
inline constexpr std::size_t kItemOverheadBytes = 320;
/// Longer texts of statuses are cut on the wire.
inline constexpr std::size_t kStatusTextMax = 256;
/// The largest object, as the design of the store has it.
inline constexpr std::uint64_t kObjectBytesMax = std::uint64_t{1} << 30;

/// A list of keys as messages carry it: high, low, high, low.
using WireKeys = google::protobuf::RepeatedField<std::uint64_t>;

inline void add_key(WireKeys& keys, const Key128& key) {
  keys.Add(key.high);
  keys.Add(key.low);
}
inline Key128 key_at(const WireKeys& keys, std::size_t index) {
  return {keys.Get(static_cast<int>(2 * index)), keys.Get(static_cast<int>(2 * index + 1))};
}

void to_wire(const Member& member, pb::Member& wire);
Member from_wire(const pb::Member& wire);

void to_wire(const Status& status, pb::ItemStatus& wire);
Status from_wire(const pb::ItemStatus& wire);

/// Parses a payload of a peer. @return kInvalidArgument for bytes that are no `Message`.
template <typename Message>
Result<Message> parse(const std::string& payload) {
  Message message;
  if (!message.ParseFromString(payload)) {
    return Status(Code::kInvalidArgument, "malformed " + std::string(message.GetTypeName()));
  }
  return message;
}

}  // namespace mooncake::store
