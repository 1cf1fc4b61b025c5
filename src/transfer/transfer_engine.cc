#include "transfer/transfer_engine.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/mutex.h"
#include "transfer/core.h"

namespace mooncake::transfer {
namespace {

/// Waits for one value from a callback.
template <typename T>
class Waiter {
 public:
  void set(T value) {
    MutexLock lock(mutex_);
    value_ = std::move(value);
    ready_.notify_all();
  }
  T wait() {
    MutexLock lock(mutex_);
    while (!value_.has_value()) ready_.wait(mutex_);
    return std::move(*value_);
  }

 private:
  Mutex mutex_;
  CondVar ready_;
  std::optional<T> value_ GUARDED_BY(mutex_);
};

/// Sets the waiter when the callback that owns it is destroyed without having run.
template <typename T>
class Promise {
 public:
  explicit Promise(std::shared_ptr<Waiter<T>> waiter) : waiter_(std::move(waiter)) {}
  Promise(Promise&&) noexcept = default;
  Promise& operator=(Promise&&) noexcept = delete;
  ~Promise() {
    if (waiter_) waiter_->set(Status(Code::kCancelled, "the transfer engine ended"));
  }
  void set(T value) { std::exchange(waiter_, nullptr)->set(std::move(value)); }

 private:
  std::shared_ptr<Waiter<T>> waiter_;  // shared by the thread that waits and the callback
};

class Engine final : public TransferEngine {
 public:
  explicit Engine(std::shared_ptr<Core> core) : core_(std::move(core)) {}
  ~Engine() override { core_->shut_down(); }

  [[nodiscard]] const PeerName& name() const override { return core_->name(); }
  [[nodiscard]] Executor& executor() const override { return core_->context().executor; }
  Result<ByteSpan> allocate_shared(std::size_t bytes) override { return core_->context().pools.allocate(bytes); }
  void free_shared(ByteSpan memory) override {
    if (CudaHost* cuda = core_->context().cuda.get()) cuda->unpin(memory);
    if (const std::uint64_t pool = core_->context().pools.free(memory); pool != 0) core_->pool_gone(pool);
  }
  Result<SegmentHandle> register_memory(ByteSpan memory, MemoryKind kind, Access access) override {
    return core_->context().register_memory(memory, kind, access);
  }
  Result<SegmentHandle> register_file(const std::string& path, FileOptions options) override {
    MC_ASSIGN_OR_RETURN(std::unique_ptr<const OpenFile> file, OpenFile::open(path, options));
    return core_->context().segments.add_file(std::move(file));
  }
  Status unregister_memory(SegmentHandle segment, absl::AnyInvocable<void()> done) override;
  Result<Capability> grant(SegmentHandle segment, std::uint64_t offset, std::uint64_t length, Access access,
                           PeerHandle to) override {
    return core_->context().grant({.segment = segment, .offset = offset, .length = length}, access, to);
  }
  Result<PeerHandle> connect(const PeerName& name) override { return core_->connect(name); }
  void call(PeerHandle peer, std::uint16_t method, std::string payload, Deadline deadline, CallCallback done) override {
    core_->call(peer, method, std::move(payload), deadline, std::move(done));
  }
  void serve(std::uint16_t method, Handler handler) override {
    core_->context().handlers.serve(method, std::move(handler));
  }
  Batch submit(PeerHandle peer, std::span<const TransferRequest> requests, Deadline deadline,
               std::optional<Notify> notify, BatchCallback done) override;
  void cancel(const Batch& batch) override {
    if (batch.state_) core_->stop(batch.state_, {Code::kCancelled, "the batch was cancelled"});
  }
  void on_peer_lost(PeerLostHandler handler) override { core_->context().handlers.on_peer_lost(std::move(handler)); }
  [[nodiscard]] PeerName peer_name(PeerHandle peer) const override { return core_->directory().name_of(peer); }
  [[nodiscard]] std::vector<TransferStats> stats() const override { return core_->context().stats.paths.rows(); }
  [[nodiscard]] std::vector<BatchStats> batch_stats() const override { return core_->context().stats.batches.rows(); }
  [[nodiscard]] std::vector<CallStats> call_stats() const override { return core_->context().stats.calls.rows(); }
  void set_trace(TransferTrace* trace) override;

 private:
  Status check(const Batch::State& batch) const;

  const std::shared_ptr<Core> core_;  // shared with responders, which hold it weakly
};

Status Engine::unregister_memory(SegmentHandle segment, absl::AnyInvocable<void()> done) {
  auto posted = [&executor = core_->context().executor, done = std::move(done)]() mutable {
    if (done) executor.post(std::move(done));
  };
  MC_RETURN_IF_ERROR(core_->context().segments.revoke(segment, std::move(posted)));
  core_->revoke(segment);
  return {};
}

void Engine::set_trace(TransferTrace* trace) {
  Context& context = core_->context();
  if (context.loop->is_current()) {
    context.trace = trace;
    return;
  }
  Waiter<bool> set;
  context.loop->post([&] {
    context.trace = trace;
    set.set(true);
  });
  static_cast<void>(set.wait());
}

Status Engine::check(const Batch::State& batch) const {
  if (batch.requests.size() > kBatchRequestsMax) {
    return {Code::kInvalidArgument,
            fmt::format("a batch of {} requests, at most {} are allowed", batch.requests.size(), kBatchRequestsMax)};
  }
  for (const TransferRequest& request : batch.requests) {
    if (request.local.empty()) return {Code::kInvalidArgument, "a request must move at least one byte"};
    if (batch.notify.has_value() && request.op != TransferRequest::Op::kWrite) {
      return {Code::kInvalidArgument, "a notify needs a batch of writes"};
    }
    if (request.offset + request.local.size() < request.offset)
      return {Code::kOutOfRange, "the remote range wraps around"};
  }
  if (batch.notify.has_value() && batch.notify->payload.size() > kMessageBytesMax) {
    return {Code::kInvalidArgument, fmt::format("a notify of {} bytes, at most {} can be sent",
                                                batch.notify->payload.size(), kMessageBytesMax)};
  }
  return {};
}

Batch Engine::submit(PeerHandle peer, std::span<const TransferRequest> requests, Deadline deadline,
                     std::optional<Notify> notify, BatchCallback done) {
  auto state = std::make_shared<Batch::State>();  // shared with the engine until the medium has let go of the buffers
  state->peer = peer;
  state->deadline = deadline;
  state->notify = std::move(notify);
  state->done = std::move(done);
  state->requests.assign(requests.begin(), requests.end());
  Status status = check(*state);
  state->kinds.reserve(state->requests.size());
  for (std::size_t i = 0; status.ok() && i < state->requests.size(); ++i) {
    const Result<MemoryKind> kind = core_->context().segments.acquire_local(state->requests[i].local, state->held);
    status = kind.status();
    if (kind.ok()) state->kinds.push_back(*kind);
  }
  if (status.ok()) {
    core_->submit(state);
  } else {
    core_->refuse(state, status);
  }
  return Batch(std::move(state));
}

Result<std::unique_ptr<TransferEngine>> start(std::shared_ptr<Core> core) {  // shared: see Core
  MC_RETURN_IF_ERROR(core->start());
  return std::unique_ptr<TransferEngine>(std::make_unique<Engine>(std::move(core)));
}

}  // namespace

Result<std::unique_ptr<TransferEngine>> TransferEngine::create(TransferConfig config, Executor& executor) {
  return start(std::make_shared<Core>(std::move(config), &executor));
}

Result<std::unique_ptr<TransferEngine>> TransferEngine::create(TransferConfig config) {
  return start(std::make_shared<Core>(std::move(config), nullptr));
}

Result<std::string> TransferEngine::call_and_wait(PeerHandle peer, std::uint16_t method, std::string payload,
                                                  Deadline deadline) {
  auto waiter = std::make_shared<Waiter<Result<std::string>>>();
  call(peer, method, std::move(payload), deadline,
       [promise = Promise(waiter)](Result<std::string> result) mutable { promise.set(std::move(result)); });
  return waiter->wait();
}

Status TransferEngine::submit_and_wait(PeerHandle peer, std::span<const TransferRequest> requests, Deadline deadline) {
  auto waiter = std::make_shared<Waiter<Status>>();
  submit(peer, requests, deadline, std::nullopt,
         [promise = Promise(waiter)](Status status) mutable { promise.set(std::move(status)); });
  return waiter->wait();
}

Result<Capability> Capability::from_string(std::string_view text) {
  Capability capability;
  if (text.size() != kCapabilityBytes) {
    return Status(Code::kCorrupt, fmt::format("a capability has {} bytes, not {}", kCapabilityBytes, text.size()));
  }
  std::ranges::copy(as_bytes(text), capability.bytes.begin());
  return capability;
}

Responder& Responder::operator=(Responder&& other) noexcept {
  if (this == &other) return *this;
  if (send_) std::exchange(send_, nullptr)(Status(Code::kInternal, "the handler gave no answer"));
  send_ = std::exchange(other.send_, nullptr);
  return *this;
}

Responder::~Responder() {
  if (send_) send_(Status(Code::kInternal, "the handler gave no answer"));
}

void Responder::reply(Result<std::string> result) {
  CHECK(send_ != nullptr);
  std::exchange(send_, nullptr)(std::move(result));
}

}  // namespace mooncake::transfer
