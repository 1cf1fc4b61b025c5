#include "net/event_loop.h"

#include <pthread.h>

#include <atomic>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <csignal>
#include <map>
#include <optional>
#include <thread>
#include <utility>

#include "base/check.h"
#include "base/mutex.h"

namespace mooncake::net {
namespace {

namespace asio = boost::asio;

class AsioWatch final : public FdWatch {
 public:
  explicit AsioWatch(asio::posix::stream_descriptor descriptor) : descriptor_(std::move(descriptor)) {}

  void wait_readable(Task task) override { wait(asio::posix::stream_descriptor::wait_read, std::move(task)); }
  void wait_writable(Task task) override { wait(asio::posix::stream_descriptor::wait_write, std::move(task)); }
  void close() override {
    boost::system::error_code ignored;
    descriptor_.close(ignored);
  }
  [[nodiscard]] int fd() const override {
    auto& descriptor = const_cast<asio::posix::stream_descriptor&>(descriptor_);  // native_handle() is not const
    return descriptor.is_open() ? descriptor.native_handle() : -1;
  }

 private:
  void wait(asio::posix::stream_descriptor::wait_type what, Task task) {
    descriptor_.async_wait(what, [task = std::move(task)](const boost::system::error_code& error) mutable {
      if (error != asio::error::operation_aborted) task();
    });
  }

  asio::posix::stream_descriptor descriptor_;
};

// All timers share one Asio timer, set to the earliest of them. A timer's task is taken out of the table, on the loop's
// thread, just before it runs; so cancelling it there, which removes it from the table, cannot come too late.
class AsioEventLoop final : public EventLoop {
 public:
  explicit AsioEventLoop(std::string name) : name_(std::move(name)) {}

  ~AsioEventLoop() override {
    stop();
    join();
    // What is left is destroyed while everything that its destructors may call (post, cancel) still works.
    std::map<TimerKey, Task> timers;
    {
      const MutexLock lock(mutex_);
      timers.swap(timers_);
      due_.clear();
    }
  }

  void post(Task task) override {
    if (!stopped_) asio::post(io_, std::move(task));
  }

  TimerId post_at(Instant when, Task task) override {
    if (stopped_) return TimerId{0};
    bool earliest = false;
    TimerId id{};
    {
      const MutexLock lock(mutex_);
      id = TimerId{++timer_count_};
      due_.emplace(id, when);
      const auto timer = timers_.emplace(TimerKey{when, id}, std::move(task)).first;
      earliest = timer == timers_.begin();
    }
    if (!earliest) return id;
    if (is_current()) {
      arm();
    } else {
      asio::post(io_, [this] { arm(); });
    }
    return id;
  }

  void cancel(TimerId timer) override {
    Task task;  // destroyed after the lock is released: its captures may call us
    const MutexLock lock(mutex_);
    const auto due = due_.find(timer);
    if (due == due_.end()) return;
    const auto entry = timers_.find(TimerKey{due->second, timer});
    task = std::move(entry->second);
    timers_.erase(entry);
    due_.erase(due);
  }

  [[nodiscard]] bool is_current() const override { return executor_.running_in_this_thread(); }
  [[nodiscard]] const Clock& clock() const override { return clock_; }

  void run() override {
    const auto keep_alive = asio::make_work_guard(io_);
    io_.run();
  }

  void start() override {
    CHECK(!thread_.joinable());
    thread_ = std::thread([this] {
      pthread_setname_np(pthread_self(), name_.substr(0, 15).c_str());
      run();
    });
  }

  void stop() override {
    stopped_ = true;
    io_.stop();
  }

  void join() override {
    if (thread_.joinable()) thread_.join();
  }

  Result<std::unique_ptr<FdWatch>> watch(UniqueFd fd) override {
    asio::posix::stream_descriptor descriptor(io_);
    boost::system::error_code error;
    descriptor.assign(fd.get(), error);
    if (error) return Status(Code::kExhausted, "cannot watch a descriptor: " + error.message());
    static_cast<void>(fd.release());
    return std::unique_ptr<FdWatch>(std::make_unique<AsioWatch>(std::move(descriptor)));
  }

  void on_signal(std::function<void(int)> handler) override {
    CHECK(!signals_);
    signals_.emplace(io_, SIGINT, SIGTERM);
    await_signal(std::move(handler));
  }

 private:
  using TimerKey = std::pair<Instant, TimerId>;  // ids grow, so equal instants run in the order they were asked for

  // Sets the Asio timer to the earliest task. On the loop's thread. A timer that is set too early wakes up for nothing
  // once; that is cheaper than a system call each time that the earliest task is cancelled.
  void arm() {
    Instant next = kNever;
    {
      const MutexLock lock(mutex_);
      if (!timers_.empty()) next = timers_.begin()->first.first;
    }
    if (next >= armed_for_) return;
    armed_for_ = next;
    timer_.expires_at(next);  // also ends the wait before it, whose handler then sees an error
    timer_.async_wait([this](const boost::system::error_code& error) {
      if (error) return;
      armed_for_ = kNever;
      run_due();
      arm();
    });
  }

  // Timers that the tasks themselves add for "now" wait for the next round, so that posted work gets its turn.
  void run_due() {
    const Instant now = clock_.now();
    std::uint64_t last_id = 0;
    {
      const MutexLock lock(mutex_);
      last_id = timer_count_;
    }
    while (!stopped_) {
      Task task;
      {
        const MutexLock lock(mutex_);
        const auto first = timers_.begin();
        if (first == timers_.end() || first->first.first > now) return;
        if (static_cast<std::uint64_t>(first->first.second) > last_id) return;
        task = std::move(first->second);
        due_.erase(first->first.second);
        timers_.erase(first);
      }
      task();
    }
  }

  void await_signal(std::function<void(int)> handler) {
    signals_->async_wait([this, handler = std::move(handler)](const boost::system::error_code& error, int signal) {
      if (error) return;
      handler(signal);
      await_signal(handler);
    });
  }

  const std::string name_;
  const SteadyClock clock_;
  std::atomic<bool> stopped_{false};

  Mutex mutex_;
  std::uint64_t timer_count_ GUARDED_BY(mutex_) = 0;
  std::map<TimerKey, Task> timers_ GUARDED_BY(mutex_);
  std::map<TimerId, Instant> due_ GUARDED_BY(mutex_);

  Instant armed_for_ = kNever;  // the loop's thread only
  // Destroyed before what is above, because queued tasks may call us while they are destroyed.
  asio::io_context io_{1};
  const asio::io_context::executor_type executor_ = io_.get_executor();
  asio::steady_timer timer_{io_};
  std::optional<asio::signal_set> signals_;
  std::thread thread_;
};

}  // namespace

std::unique_ptr<EventLoop> EventLoop::create(std::string name) {
  return std::make_unique<AsioEventLoop>(std::move(name));
}

}  // namespace mooncake::net
