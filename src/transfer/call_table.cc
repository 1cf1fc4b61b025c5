#include "transfer/call_table.h"

namespace mooncake::transfer {

void CallTable::add(std::uint64_t id, std::size_t bytes, std::string_view transport, Deadline deadline,
                    CallCallback done) {
  Call call{.done = std::move(done), .begun = context_.loop->clock().now(), .transport = transport};
  if (deadline != kNever) {
    call.timer = context_.loop->post_at(
        deadline, [this, id] { complete(id, Status(Code::kDeadlineExceeded, "no reply came before the deadline")); });
  }
  calls_.emplace(id, std::move(call));
  context_.tell([&] {
    return TraceEvent{.kind = TraceEvent::Kind::kCallBegin,
                      .peer = peer_.handle.value,
                      .peer_name = peer_.name(),
                      .id = id,
                      .bytes = bytes};
  });
}

void CallTable::add_notify(std::uint64_t id, CallCallback done) { calls_.emplace(id, Call{.done = std::move(done)}); }

CallCounters& CallTable::counters(std::string_view transport) {
  for (const auto& [name, counters] : counters_) {
    if (name == transport) return *counters;
  }
  CallCounters& row =
      context_.stats.calls.row({.peer = std::string(peer_.name()), .transport = std::string(transport), .rail = {}});
  counters_.emplace_back(transport, &row);
  return row;
}

void CallTable::count(std::uint64_t id, const Call& call, const Result<std::string>& result) {
  const Nanos took = context_.loop->clock().now() - call.begun;
  if (result.ok()) {
    counters(call.transport).answered(took);
  } else {
    counters(call.transport).failed();
  }
  context_.tell([&] {
    return TraceEvent{.kind = TraceEvent::Kind::kCallEnd,
                      .peer = peer_.handle.value,
                      .peer_name = peer_.name(),
                      .id = id,
                      .bytes = result.ok() ? result->size() : 0,
                      .took = took,
                      .code = result.status().code()};
  });
}

void CallTable::complete(std::uint64_t id, Result<std::string> result) {
  const auto found = calls_.find(id);
  if (found == calls_.end()) return;
  Call call = std::move(found->second);
  context_.loop->cancel(call.timer);
  calls_.erase(found);
  if (!call.transport.empty()) count(id, call, result);
  call.done(std::move(result));
}

void CallTable::forget(std::uint64_t id) {
  const auto found = calls_.find(id);
  if (found == calls_.end()) return;
  context_.loop->cancel(found->second.timer);
  calls_.erase(found);
}

void CallTable::fail_all(const Status& why) {
  while (!calls_.empty()) complete(calls_.begin()->first, why);
}

}  // namespace mooncake::transfer
