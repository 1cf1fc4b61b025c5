#include "transfer/mem/local_peer.h"

#include <fmt/format.h>

namespace mooncake::transfer {

LocalPeer::LocalPeer(Context& context, PeerHandle handle, PostReply post_reply)
    : context_(context),
      handle_(handle),
      post_reply_(std::move(post_reply)),
      calls_(context, {.handle = handle, .name = [this]() -> std::string_view { return context_.config.node_name; }}),
      queue_(context, handle, queue_hooks()),
      mem_(context, queue_, handle),
      cuda_(context, queue_, handle),
      file_(context, queue_, make_file_queue) {
  queue_.open();
}

SliceQueue::Hooks LocalPeer::queue_hooks() {
  return {
      .choose = [this](const Slice& slice, const Transport*) -> Transport* {
        if (context_.segments.is_file(slice.remote.segment)) return &file_;
        const bool device = slice.kind == MemoryKind::kCuda || context_.segments.is_device(slice.remote.segment);
        if (device) return &cuda_;
        return &mem_;
      },
      .notify = [this](const SliceQueue::BatchPtr& batch) { notify(batch); },
      .forget_notify = [](std::uint64_t) {},
      .next_id = [this] { return ++last_id_; },
      .peer_name = [this]() -> std::string_view { return context_.config.node_name; },
      .transport_name = []() -> std::string_view { return "mem"; },
  };
}

void LocalPeer::notify(const SliceQueue::BatchPtr& batch) {
  const std::uint16_t method = batch->notify->method;
  const bool served = context_.handlers.dispatch(
      handle_, method, std::move(batch->notify->payload), [](const Result<std::string>&) {}, false);
  queue_.notify_done(
      batch, served ? Status() : Status(Code::kUnsupported, fmt::format("there is no handler for method {}", method)));
}

void LocalPeer::call(std::uint16_t method, std::string payload, Deadline deadline, CallCallback done) {
  if (calls_.full()) {
    calls_.counters("mem").failed();
    return done(Status(Code::kExhausted, fmt::format("{} calls wait for an answer, the most there can be", kCallsMax)));
  }
  const std::uint64_t id = ++last_id_;
  calls_.add(id, payload.size(), "mem", deadline, std::move(done));
  calls_.counters("mem").received();
  const bool served = context_.handlers.dispatch(
      handle_, method, std::move(payload),
      [post = post_reply_, handle = handle_, id](Result<std::string> result) { post(handle, id, std::move(result)); },
      false);
  if (!served)
    calls_.complete(id, Status(Code::kUnsupported, fmt::format("there is no handler for method {}", method)));
}

void LocalPeer::end(const Status& why) {
  mem_.close();
  cuda_.close();
  file_.close();
  calls_.fail_all(why);
  queue_.fail_all(why);
}

}  // namespace mooncake::transfer
