#include "serve/worker/engine_runner.h"

#include <future>
#include <utility>

namespace mooncake::serve {

Result<std::unique_ptr<EngineRunner>> EngineRunner::create(const Make& make, Executor& loop) {
  std::unique_ptr<EngineRunner> runner(new EngineRunner(loop));
  std::promise<Status> made;
  std::future<Status> outcome = made.get_future();
  runner->thread_ = std::thread([self = runner.get(), &make, &made] {
    auto engine = make();
    if (!engine.ok()) {
      made.set_value(engine.status());
      return;
    }
    self->engine_ = std::move(engine).value();
    self->facts_ = {self->engine_->model(), self->engine_->layout(), self->engine_->capacity(),
                    self->engine_->chunk_tokens_max()};
    made.set_value(Status::ok_status());  // `make` and `made` are gone from here on
    self->serve();
  });
  MC_RETURN_IF_ERROR(outcome.get());
  return runner;
}

EngineRunner::~EngineRunner() { stop(); }

void EngineRunner::run(Work work, Done done) {
  MutexLock lock(mutex_);
  if (stopping_) return;
  queue_.push_back({std::move(work), std::move(done)});
  wake_.notify_one();
}

bool EngineRunner::full() const {
  MutexLock lock(mutex_);
  return queue_.size() >= kEngineQueueMax;
}

void EngineRunner::stop() {
  std::deque<Item> forgotten;
  {
    MutexLock lock(mutex_);
    if (!stopping_ && engine_) engine_->cancel();
    stopping_ = true;
    forgotten.swap(queue_);
    wake_.notify_one();
  }
  if (thread_.joinable()) thread_.join();
}

void EngineRunner::serve() {
  for (;;) {
    Item item;
    {
      MutexLock lock(mutex_);
      while (queue_.empty() && !stopping_) wake_.wait(mutex_);
      if (stopping_) break;
      item = std::move(queue_.front());
      queue_.pop_front();
    }
    item.work(*engine_);
    loop_.post([item = std::move(item)]() mutable { item.done(); });
  }
  engine_.reset();
}

}  // namespace mooncake::serve
