// FakeTransfer: a TransferEngine for tests that moves nothing: calls wait in a list until the test answers them.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "transfer/transfer_engine.h"

namespace mooncake::serve {

/// Single-threaded: every member from the test's thread. Callbacks run when the executor does.
class FakeTransfer final : public transfer::TransferEngine {
 public:
  struct Call {
    transfer::PeerName peer{};
    std::uint16_t method = 0;
    std::string payload{};
    Deadline deadline{};
    transfer::CallCallback done{};
  };

  explicit FakeTransfer(Executor& executor) : executor_(executor) {}

  /// The oldest unanswered call of `method`; fails the test if there is none.
  Call take(std::uint16_t method) {
    for (auto call = calls_.begin(); call != calls_.end(); ++call) {
      if (call->method != method) continue;
      Call taken = std::move(*call);
      calls_.erase(call);
      return taken;
    }
    ADD_FAILURE() << "no call of method " << method;
    return {.done = [](const Result<std::string>&) {}};
  }
  [[nodiscard]] std::size_t count(std::uint16_t method) const {
    std::size_t count = 0;
    for (const Call& call : calls_) count += call.method == method;
    return count;
  }
  void answer(Call call, Result<std::string> reply) {
    executor_.post([done = std::move(call.done), reply = std::move(reply)]() mutable { done(std::move(reply)); });
  }
  /// The peer dies: its calls fail, then the handlers are told.
  void lose(const transfer::PeerName& peer) {
    for (auto call = calls_.begin(); call != calls_.end();) {
      if (call->peer != peer) {
        ++call;
        continue;
      }
      answer(std::move(*call), Status(Code::kPeerLost, peer + " is lost"));
      call = calls_.erase(call);
    }
    const auto handle = peers_.find(peer);
    if (handle == peers_.end()) return;
    executor_.post([this, lost = handle->second] {
      for (const auto& handler : lost_handlers_) handler(lost);
    });
    peers_.erase(handle);
  }

  [[nodiscard]] const transfer::PeerName& name() const override { return name_; }
  [[nodiscard]] Executor& executor() const override { return executor_; }
  Result<transfer::PeerHandle> connect(const transfer::PeerName& name) override {
    if (name.find(':') == std::string::npos) return Status(Code::kInvalidArgument, "no port");
    auto& handle = peers_[name];
    if (handle == transfer::PeerHandle{}) handle.value = ++last_handle_;
    return handle;
  }
  void call(transfer::PeerHandle peer, std::uint16_t method, std::string payload, Deadline deadline,
            transfer::CallCallback done) override {
    for (const auto& [name, handle] : peers_) {
      if (handle == peer) calls_.push_back({name, method, std::move(payload), deadline, std::move(done)});
    }
  }
  void on_peer_lost(transfer::PeerLostHandler handler) override { lost_handlers_.push_back(std::move(handler)); }

  // Not needed here.
  Result<ByteSpan> allocate_shared(std::size_t) override { return unused(); }
  void free_shared(ByteSpan) override {}
  Result<transfer::Capability> grant(transfer::SegmentHandle, std::uint64_t, std::uint64_t, transfer::Access,
                                     transfer::PeerHandle) override {
    return unused();
  }
  Result<transfer::SegmentHandle> register_memory(ByteSpan, transfer::MemoryKind, transfer::Access) override {
    return unused();
  }
  Result<transfer::SegmentHandle> register_file(const std::string&, transfer::FileOptions) override { return unused(); }
  Status unregister_memory(transfer::SegmentHandle, absl::AnyInvocable<void()>) override { return unused(); }
  void serve(std::uint16_t, transfer::Handler) override {}
  transfer::Batch submit(transfer::PeerHandle, std::span<const transfer::TransferRequest>, Deadline,
                         std::optional<transfer::Notify>, transfer::BatchCallback) override {
    return {};
  }
  void cancel(const transfer::Batch&) override {}
  [[nodiscard]] transfer::PeerName peer_name(transfer::PeerHandle) const override { return {}; }
  [[nodiscard]] std::vector<transfer::TransferStats> stats() const override { return {}; }
  [[nodiscard]] std::vector<transfer::BatchStats> batch_stats() const override { return {}; }
  [[nodiscard]] std::vector<transfer::CallStats> call_stats() const override { return {}; }
  void set_trace(transfer::TransferTrace*) override {}

 private:
  static Status unused() { return {Code::kUnsupported, "the fake moves nothing"}; }

  Executor& executor_;
  const transfer::PeerName name_ = "127.0.0.1:1";
  std::map<transfer::PeerName, transfer::PeerHandle> peers_;
  std::uint64_t last_handle_ = 0;
  std::vector<Call> calls_;
  std::vector<transfer::PeerLostHandler> lost_handlers_;
};

}  // namespace mooncake::serve
