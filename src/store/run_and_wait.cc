#include "store/run_and_wait.h"

#include <memory>
#include <utility>

#include "base/mutex.h"

namespace mooncake::store {
namespace {

/// Set when the posted task has run or was thrown away.
class Latch {
 public:
  void set(bool ran) {
    const MutexLock lock(mutex_);
    set_ = true;
    ran_ = ran_ || ran;
    changed_.notify_all();
  }
  bool wait() {
    const MutexLock lock(mutex_);
    while (!set_) changed_.wait(mutex_);
    return ran_;
  }

 private:
  Mutex mutex_;
  CondVar changed_;
  bool set_ GUARDED_BY(mutex_) = false;
  bool ran_ GUARDED_BY(mutex_) = false;
};

/// Travels with the task; its end is the task's end, whether it ran or not.
class Courier {
 public:
  explicit Courier(std::shared_ptr<Latch> latch) : latch_(std::move(latch)) {}
  Courier(Courier&&) = default;
  ~Courier() {
    if (latch_) latch_->set(false);
  }
  void done() { latch_->set(true); }

 private:
  std::shared_ptr<Latch> latch_;  // shared: the waiter may be gone before a late copy of the task is destroyed
};

}  // namespace

void run_and_wait(Executor& executor, absl::AnyInvocable<void()> task) {
  if (executor.is_current()) return task();
  const auto latch = std::make_shared<Latch>();
  executor.post([courier = Courier(latch), &task]() mutable {
    task();
    courier.done();
  });
  if (!latch->wait()) task();
}

}  // namespace mooncake::store
