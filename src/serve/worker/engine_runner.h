// EngineRunner: the one thread that an engine lives on. Work goes there in order; its result comes back to the loop.
//
// Everything a piece of work captured travels with it and is destroyed on the loop, never on the engine thread, so that
// leases and other loop-owned things may be captured freely.
//
// Threads: run() and stop() from the loop (or before it runs); interrupt() and facts() from anywhere.
#pragma once

#include <absl/functional/any_invocable.h>

#include <deque>
#include <functional>
#include <memory>
#include <thread>

#include "base/executor.h"
#include "base/mutex.h"
#include "base/status.h"
#include "engine/engine.h"

namespace mooncake::serve {

/// What does not change after load, copied so that other threads may read it.
struct EngineFacts {
  engine::ModelInfo model;
  engine::KvLayout layout;
  engine::Capacity capacity;  ///< at start: nothing open
  std::uint32_t chunk_tokens_max = 0;
};

/// Work waiting for the engine from which on no new request is taken. A worker's 1,024 requests, each with a piece that
/// waits and one that frees what it held, fill half of it; beyond, requests come and go faster than the engine turns.
inline constexpr std::size_t kEngineQueueMax = 4'096;

class EngineRunner {
 public:
  using Make = std::function<Result<std::unique_ptr<engine::Engine>>()>;
  /// Runs on the engine thread.
  using Work = absl::AnyInvocable<void(engine::Engine&)>;
  /// Runs on the loop, after the work and before that of any later work.
  using Done = absl::AnyInvocable<void()>;

  /// Starts the thread and makes the engine on it; blocks until that is done. @return what `make` says.
  static Result<std::unique_ptr<EngineRunner>> create(const Make& make, Executor& loop);
  /// stop().
  ~EngineRunner();

  /// True from kEngineQueueMax waiting pieces of work on. Whoever takes requests pushes back then; run() still queues,
  /// because the requests that are held need a few pieces each to end, and what they hold must be given back.
  [[nodiscard]] bool full() const;
  /// Queues `work`. After stop() both are destroyed without running.
  void run(Work work, Done done);
  /// Makes the step that runs, or the next one, end early. The owner of work that is not to be interrupted repeats it.
  void interrupt() { engine_->cancel(); }
  /// Interrupts the current work, forgets the rest, destroys the engine, joins the thread.
  void stop();

  [[nodiscard]] const EngineFacts& facts() const { return facts_; }
  /// Immutable and thread-safe.
  [[nodiscard]] const engine::Tokenizer& tokenizer() const { return engine_->tokenizer(); }

 private:
  struct Item {
    Work work;
    Done done;
  };
  explicit EngineRunner(Executor& loop) : loop_(loop) {}
  void serve();

  Executor& loop_;
  EngineFacts facts_;
  std::unique_ptr<engine::Engine> engine_;  // made and destroyed on the thread; read elsewhere only in between
  mutable Mutex mutex_;
  CondVar wake_;
  std::deque<Item> queue_ GUARDED_BY(mutex_);
  bool stopping_ GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace mooncake::serve
