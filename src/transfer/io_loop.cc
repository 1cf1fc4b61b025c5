#include "transfer/io_loop.h"

#include <pthread.h>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <map>
#include <thread>

namespace mooncake::transfer {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;

class AsioWatch final : public FdWatch {
 public:
  explicit AsioWatch(asio::posix::stream_descriptor descriptor) : descriptor_(std::move(descriptor)) {}

  void wait_readable(Task task) override { wait(asio::posix::stream_descriptor::wait_read, std::move(task)); }
  void wait_writable(Task task) override { wait(asio::posix::stream_descriptor::wait_write, std::move(task)); }
  void close() override {
    error_code ignored;
    descriptor_.close(ignored);
  }
  [[nodiscard]] int fd() const override {
    auto& descriptor = const_cast<asio::posix::stream_descriptor&>(descriptor_);  // native_handle() is not const
    return descriptor.is_open() ? descriptor.native_handle() : -1;
  }

 private:
  void wait(asio::posix::stream_descriptor::wait_type what, Task task) {
    descriptor_.async_wait(what, [task = std::move(task)](error_code error) mutable {
      if (error != asio::error::operation_aborted) task();
    });
  }

  asio::posix::stream_descriptor descriptor_;
};

class AsioLoop final : public IoLoop {
 public:
  AsioLoop() : context_(1), work_(context_.get_executor()), timer_(context_), thread_([this] { run(); }) {}
  ~AsioLoop() override { stop(); }

  void post(Task task) override { asio::post(context_, std::move(task)); }

  TimerId at(Instant when, Task task) override {
    const auto id = static_cast<TimerId>(++last_timer_);
    if (when == kNever) return id;
    timers_.emplace(Key{when, id}, std::move(task));
    whens_.emplace(id, when);
    if (timers_.begin()->first.second == id) arm();
    return id;
  }

  void cancel(TimerId timer) override {
    const auto found = whens_.find(timer);
    if (found == whens_.end()) return;
    timers_.erase(Key{found->second, timer});
    whens_.erase(found);
  }

  Result<std::unique_ptr<FdWatch>> watch(UniqueFd fd) override {
    asio::posix::stream_descriptor descriptor(context_);
    error_code error;
    descriptor.assign(fd.get(), error);
    if (error) return Status(Code::kExhausted, "cannot watch a socket: " + error.message());
    static_cast<void>(fd.release());
    return std::unique_ptr<FdWatch>(std::make_unique<AsioWatch>(std::move(descriptor)));
  }

  void stop() override {
    if (!thread_.joinable()) return;
    context_.stop();
    thread_.join();
  }

  [[nodiscard]] bool is_current() const override { return thread_.get_id() == std::this_thread::get_id(); }

 private:
  using Key = std::pair<Instant, TimerId>;

  void run() {
    pthread_setname_np(pthread_self(), "transfer-io");
    context_.run();
  }

  /// Aims the one Asio timer at the earliest of ours. An early or doubled wake-up does no harm.
  void arm() {
    if (timers_.empty()) return;
    timer_.expires_at(timers_.begin()->first.first);
    timer_.async_wait([this](error_code error) {
      if (!error) fire();
    });
  }

  void fire() {
    const Instant now = std::chrono::steady_clock::now();
    while (!timers_.empty() && timers_.begin()->first.first <= now) {
      Task task = std::move(timers_.begin()->second);
      whens_.erase(timers_.begin()->first.second);
      timers_.erase(timers_.begin());
      task();
    }
    arm();
  }

  asio::io_context context_;
  asio::executor_work_guard<asio::io_context::executor_type> work_;
  asio::steady_timer timer_;
  std::map<Key, Task> timers_;
  std::map<TimerId, Instant> whens_;
  std::uint64_t last_timer_ = 0;
  std::thread thread_;  // last: it uses all of the above
};

}  // namespace

std::unique_ptr<IoLoop> IoLoop::create() { return std::make_unique<AsioLoop>(); }

}  // namespace mooncake::transfer
