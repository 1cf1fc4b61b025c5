#include "serve/worker/worker_service.h"

#include <fmt/core.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "base/log.h"
#include "base/rng.h"
#include "serve/methods.h"
#include "serve/worker/decode_worker.h"
#include "serve/worker/prefill_worker.h"
#include "serve/worker/replicate_blocks.h"
#include "store/client/membership.h"

namespace mooncake::serve {
namespace {

/// How often a draining worker looks whether it is done; shutting down takes longer anyway.
constexpr Millis kDrainPeriod{20};

struct WorkerMemory {
  ByteSpan arena;
  ByteSpan publish;  // decode only
};

/// Carves a decode worker's publishing buffers off the end of the arena: as many as the batch needs, a quarter at most.
WorkerMemory split(ByteSpan memory, const WorkerConfig& config, const EngineFacts& facts) {
  if (config.role == WorkerRole::kPrefill) return {memory, {}};
  const std::uint64_t block = (facts.layout.block_bytes + kArenaUnitBytes - 1) / kArenaUnitBytes * kArenaUnitBytes;
  const std::uint64_t wanted = block * kPublishBlocksPerSequence * facts.capacity.sequences_max;
  const std::uint64_t bytes = std::min<std::uint64_t>(wanted, memory.size() / 4) / kArenaUnitBytes * kArenaUnitBytes;
  return {memory.first(memory.size() - bytes), memory.last(bytes)};
}

/// Everything of one worker. Handlers, which cannot be taken back from the transfer engine, refer to it weakly.
class Worker : public std::enable_shared_from_this<Worker> {
 public:
  Worker(WorkerConfig config, std::unique_ptr<EngineRunner> runner, std::unique_ptr<store::StoreClient> owned_store,
         store::StoreClient* store, transfer::TransferEngine& transfer, Executor& loop, Metrics& metrics,
         const WorkerMemory& memory, WorkerCallbacks callbacks)
      : config_(std::move(config)),
        callbacks_(std::move(callbacks)),
        runner_(std::move(runner)),
        owned_store_(std::move(owned_store)),
        metrics_(metrics, std::string(worker_role_name(config_.role))),
        context_{config_,
                 loop,
                 transfer,
                 store,
                 *runner_,
                 metrics_,
                 Arena::create(memory.arena, loop),
                 {runner_->facts().layout.model.to_string(), runner_->facts().model.context_tokens,
                  runner_->tokenizer().vocabulary_size(), runner_->facts().layout.block_tokens},
                 runner_->facts().layout.model} {
    metrics_.arena_bytes_max.Set(static_cast<double>(context_.arena->bytes_max()));
    if (config_.role == WorkerRole::kPrefill) {
      prefill_.emplace(context_);
    } else {
      decode_.emplace(context_, Arena::create(memory.publish, loop));
    }
  }

  ~Worker() {
    membership_.reset();
    context_.loop.cancel(drain_timer_);
    prefill_.reset();  // before the engine stops: what is in it is then abandoned, not repeated
    decode_.reset();
    runner_->stop();
  }

  void serve();
  void join();
  void drain(Deadline deadline, Task done);
  [[nodiscard]] const engine::ModelInfo& model() const { return runner_->facts().model; }

 private:
  using Method = void (Worker::*)(transfer::PeerHandle, std::string_view, transfer::Responder);
  void serve(std::uint16_t method, Method handle);
  void on_prefill(transfer::PeerHandle from, std::string_view payload, transfer::Responder responder) {
    prefill_->prefill(from, payload, std::move(responder));
  }
  void on_reserve(transfer::PeerHandle from, std::string_view payload, transfer::Responder responder) {
    decode_->reserve(from, payload, std::move(responder));
  }
  void on_join(transfer::PeerHandle from, std::string_view payload, transfer::Responder responder) {
    decode_->join(from, payload, std::move(responder));
  }
  void on_cancel(transfer::PeerHandle from, std::string_view payload, transfer::Responder responder);
  void on_stats(transfer::PeerHandle from, std::string_view payload, transfer::Responder responder);
  void on_change_role(transfer::PeerHandle from, std::string_view payload, transfer::Responder responder);
  void on_replicate(transfer::PeerHandle from, std::string_view payload, transfer::Responder responder);
  [[nodiscard]] bool idle() const { return prefill_ ? prefill_->idle() : decode_->idle(); }
  void check_drained(Deadline deadline);

  const WorkerConfig config_;
  const WorkerCallbacks callbacks_;
  const std::unique_ptr<EngineRunner> runner_;
  const std::unique_ptr<store::StoreClient> owned_store_;
  WorkerMetrics metrics_;
  const WorkerContext context_;
  std::optional<PrefillWorker> prefill_;
  std::optional<DecodeWorker> decode_;
  std::unique_ptr<store::Membership> membership_;
  std::weak_ptr<Arena::Lease> copy_;  // the memory of the copy in work
  bool draining_ = false;
  TimerId drain_timer_{0};
  Task drained_;
};

void Worker::serve(std::uint16_t method, Method handle) {
  context_.transfer.serve(method,
                          [weak = weak_from_this(), handle](transfer::PeerHandle from, const std::string& payload,
                                                            transfer::Responder responder) {
                            const auto self = weak.lock();
                            if (!self) return responder.reply(Status(Code::kUnavailable, "this worker has ended"));
                            ((*self).*handle)(from, payload, std::move(responder));
                          });
}

void Worker::serve() {
  if (prefill_) {
    serve(kMethodPrefill, &Worker::on_prefill);
    serve(kMethodReplicate, &Worker::on_replicate);
  } else {
    serve(kMethodReserve, &Worker::on_reserve);
    serve(kMethodJoin, &Worker::on_join);
  }
  serve(kMethodCancel, &Worker::on_cancel);
  serve(kMethodStats, &Worker::on_stats);
  serve(kMethodChangeRole, &Worker::on_change_role);
  context_.transfer.on_peer_lost([weak = weak_from_this()](transfer::PeerHandle peer) {
    const auto self = weak.lock();
    if (!self) return;
    if (self->prefill_) self->prefill_->on_peer_lost(peer);
    if (self->decode_) self->decode_->on_peer_lost(peer);
  });
}

void Worker::on_cancel(transfer::PeerHandle, std::string_view payload, transfer::Responder responder) {
  const auto id = parse_cancel(payload);
  if (!id.ok()) return responder.reply(id.status());
  if (prefill_) prefill_->cancel(*id);
  if (decode_) decode_->cancel(*id);
  responder.reply(std::string());
}

void Worker::on_stats(transfer::PeerHandle, std::string_view, transfer::Responder responder) {
  responder.reply(encode(prefill_ ? prefill_->stats() : decode_->stats()));
}

void Worker::on_change_role(transfer::PeerHandle, std::string_view payload, transfer::Responder responder) {
  const auto role = parse_change_role(payload);
  if (!role.ok()) return responder.reply(role.status());
  if (!callbacks_.take_role) return responder.reply(Status(Code::kUnsupported, "this worker keeps its role"));
  if (*role != config_.role && !draining_) {
    log_info("asked to serve as {}", worker_role_name(*role));
    drain(context_.now() + config_.request_time_max, [weak = weak_from_this(), wanted = *role] {
      if (const auto self = weak.lock()) self->callbacks_.take_role(wanted);
    });
  }
  responder.reply(std::string());
}

void Worker::on_replicate(transfer::PeerHandle, std::string_view payload, transfer::Responder responder) {
  auto keys = parse_replicate(payload);
  if (!keys.ok()) return responder.reply(keys.status());
  if (draining_) return responder.reply(Status(Code::kUnavailable, "this worker drains"));
  if (context_.store == nullptr || config_.attached_node.empty()) {
    return responder.reply(Status(Code::kUnsupported, "this worker is attached to no node"));
  }
  // One at a time, so that copies never take more of the prompts' memory than that.
  auto memory = copy_.expired() ? context_.arena->try_acquire(keys->size() * context_.block_bytes()) : nullptr;
  if (!memory) return responder.reply(Status(Code::kExhausted, "no memory is left for a copy"));
  copy_ = memory;
  replicate_blocks(context_, std::move(*keys), std::move(memory), std::move(responder));
}

void Worker::join() {
  if (config_.master.empty()) return;
  store::Member self{.role = std::string(worker_role_name(config_.role)),
                     .name = config_.name,
                     .endpoint = context_.transfer.name(),
                     .epoch = random_seed(),
                     .attached_node = config_.attached_node,
                     .model = context_.limits.model};
  membership_ = store::Membership::create({.master = config_.master, .self = std::move(self)}, context_.transfer,
                                          {.joined = callbacks_.joined, .members = nullptr, .cache = nullptr});
}

void Worker::drain(Deadline deadline, Task done) {
  log_info("draining: no new requests");
  draining_ = true;
  if (prefill_) prefill_->refuse_new();
  if (decode_) decode_->refuse_new();
  drained_ = std::move(done);
  context_.loop.cancel(drain_timer_);
  check_drained(deadline);
}

void Worker::check_drained(Deadline deadline) {
  if (idle() || context_.now() >= deadline) {
    context_.loop.post(std::move(drained_));
    return;
  }
  drain_timer_ = context_.loop.post_at(context_.now() + kDrainPeriod, [weak = weak_from_this(), deadline] {
    if (const auto self = weak.lock()) self->check_drained(deadline);
  });
}

class WorkerServiceImpl final : public WorkerService {
 public:
  explicit WorkerServiceImpl(std::shared_ptr<Worker> worker) : worker_(std::move(worker)) {}
  [[nodiscard]] const engine::ModelInfo& model() const override { return worker_->model(); }
  void drain(Deadline deadline, Task done) override { worker_->drain(deadline, std::move(done)); }

 private:
  std::shared_ptr<Worker> worker_;  // shared only for the handlers' weak references
};

struct Wiring {
  transfer::TransferEngine& transfer;
  Executor& loop;
  Metrics& metrics;
};

Result<std::unique_ptr<WorkerService>> assemble(WorkerConfig config, const EngineRunner::Make& make,
                                                std::unique_ptr<store::StoreClient> owned_store,
                                                store::StoreClient* store, const Wiring& wiring,
                                                WorkerCallbacks callbacks) {
  if (config.name.empty()) return Status(Code::kInvalidArgument, "a worker needs a name");
  MC_ASSIGN_OR_RETURN(auto runner, EngineRunner::create(make, wiring.loop));
  const EngineFacts& facts = runner->facts();
  if (config.arena_bytes < 2 * (facts.layout.block_bytes + kArenaUnitBytes)) {
    return Status(Code::kInvalidArgument, fmt::format("an arena of {} bytes holds no two KVCache blocks of {}",
                                                      config.arena_bytes, facts.layout.block_bytes));
  }
  MC_ASSIGN_OR_RETURN(const ByteSpan memory, wiring.transfer.allocate_shared(config.arena_bytes));
  const WorkerMemory parts = split(memory, config, facts);
  if (config.role == WorkerRole::kPrefill) {
    // What leaves for a landing area must lie in a segment of ours; peers may do nothing to it.
    MC_ASSIGN_OR_RETURN(const auto segment, wiring.transfer.register_memory(memory, transfer::Access::kNone));
    static_cast<void>(segment);  // lives as long as the memory: until the transfer engine ends
  }
  log_info("{} worker {} serves model {}", worker_role_name(config.role), config.name, facts.model.id);
  const auto worker =
      std::make_shared<Worker>(std::move(config), std::move(runner), std::move(owned_store), store, wiring.transfer,
                               wiring.loop, wiring.metrics, parts, std::move(callbacks));
  worker->serve();
  worker->join();
  return std::unique_ptr<WorkerService>(new WorkerServiceImpl(worker));
}

}  // namespace

Result<WorkerRole> parse_worker_role(std::string_view name) {
  if (name == "prefill") return WorkerRole::kPrefill;
  if (name == "decode") return WorkerRole::kDecode;
  return Status(Code::kInvalidArgument, fmt::format("a worker's role is prefill or decode, not \"{}\"", name));
}

std::string_view worker_role_name(WorkerRole role) { return role == WorkerRole::kPrefill ? "prefill" : "decode"; }

Result<std::unique_ptr<WorkerService>> WorkerService::create(WorkerConfig config, transfer::TransferEngine& transfer,
                                                             Executor& loop, Metrics& metrics,
                                                             WorkerCallbacks callbacks) {
  MC_ASSIGN_OR_RETURN(auto store, store::StoreClient::create(
                                      {.master = config.master, .preferred_node = config.attached_node}, transfer));
  store::StoreClient* const borrowed = store.get();
  const engine::EngineConfig engine = config.engine;
  return assemble(
      std::move(config), [engine] { return engine::make_engine(engine); }, std::move(store), borrowed,
      {transfer, loop, metrics}, std::move(callbacks));
}

Result<std::unique_ptr<WorkerService>> WorkerService::create_with(WorkerConfig config,
                                                                  std::unique_ptr<engine::Engine> engine,
                                                                  store::StoreClient* store,
                                                                  transfer::TransferEngine& transfer, Executor& loop,
                                                                  Metrics& metrics, WorkerCallbacks callbacks) {
  auto made = std::make_shared<std::unique_ptr<engine::Engine>>(std::move(engine));
  return assemble(
      std::move(config), [made]() -> Result<std::unique_ptr<engine::Engine>> { return std::move(*made); }, nullptr,
      store, {transfer, loop, metrics}, std::move(callbacks));
}

}  // namespace mooncake::serve
