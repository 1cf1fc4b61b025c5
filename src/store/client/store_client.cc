#include "store/client/store_client.h"

#include <optional>
#include <utility>

#include "base/mutex.h"
#include "store/client/client_get.h"
#include "store/client/client_operation.h"
#include "store/client/client_put.h"
#include "store/client/locator.h"
#include "store/run_and_wait.h"

namespace mooncake::store {
namespace {

/// One answer that a thread waits for.
template <typename T>
class Box {
 public:
  void put(T value) {
    const MutexLock lock(mutex_);
    value_ = std::move(value);
    filled_.notify_all();
  }
  T take() {
    const MutexLock lock(mutex_);
    while (!value_) filled_.wait(mutex_);
    return *std::move(value_);
  }

 private:
  Mutex mutex_;
  CondVar filled_;
  std::optional<T> value_ GUARDED_BY(mutex_);
};

/// Calls back with `lost` if the callback is thrown away without an answer.
template <typename T>
class Answer {
 public:
  Answer(std::shared_ptr<Box<T>> box, T lost) : box_(std::move(box)), lost_(std::move(lost)) {}
  Answer(Answer&&) noexcept = default;
  ~Answer() {
    if (box_) box_->put(std::move(lost_));
  }
  void operator()(T value) { std::exchange(box_, nullptr)->put(std::move(value)); }

 private:
  std::shared_ptr<Box<T>> box_;  // shared: the callback and the thread that waits
  T lost_;
};

Status cancelled() { return {Code::kCancelled, "the store client has ended"}; }

class Client final : public StoreClient {
 public:
  Client(const StoreClientConfig& config, transfer::TransferEngine& engine)
      : executor_(engine.executor()),
        context_(std::make_shared<ClientContext>(
            ClientContext{config, engine, std::make_shared<Locator>(config, engine), false, {}})) {}

  ~Client() override {
    run_and_wait(executor_, [this] {
      context_->stopped = true;
      std::vector<std::shared_ptr<ClientOperation>> operations;
      for (ClientOperation* operation : context_->operations) operations.push_back(operation->shared_from_this());
      for (const auto& operation : operations) operation->cancel();
      context_->locator->stop();
    });
  }

  void put(std::vector<PutItem> items, Deadline deadline, PutCallback done) override {
    put_to(PutTo::kAnyNode, std::move(items), deadline, std::move(done));
  }

  void replicate(std::vector<PutItem> items, Deadline deadline, PutCallback done) override {
    put_to(PutTo::kPreferredNode, std::move(items), deadline, std::move(done));
  }

  void get(std::vector<GetItem> items, Deadline deadline, GetCallback done) override {
    executor_.post([context = context_, items = std::move(items), deadline, done = std::move(done)]() mutable {
      if (context->stopped) return done(std::vector<GetOutcome>(items.size(), GetOutcome{cancelled(), 0, {}}));
      make_client_get(context, items, deadline, std::move(done))->start();
    });
  }

  void locate(std::vector<ObjectKey> keys, Deadline deadline, LocateCallback done) override {
    executor_.post([context = context_, keys = std::move(keys), deadline, done = std::move(done)]() mutable {
      if (context->stopped) return done(cancelled());
      context->locator->locate(std::move(keys), deadline, std::move(done));
    });
  }

 private:
  void put_to(PutTo to, std::vector<PutItem> items, Deadline deadline, PutCallback done) {
    executor_.post([context = context_, to, items = std::move(items), deadline, done = std::move(done)]() mutable {
      if (context->stopped) return done(std::vector<Status>(items.size(), cancelled()));
      make_client_put(context, to, std::move(items), deadline, std::move(done))->start();
    });
  }

  Executor& executor_;
  std::shared_ptr<ClientContext> context_;  // shared with operations in flight
};

}  // namespace

Result<std::unique_ptr<StoreClient>> StoreClient::create(const StoreClientConfig& config,
                                                         transfer::TransferEngine& engine) {
  MC_RETURN_IF_ERROR(engine.connect(config.master).status().annotate("master"));
  return std::unique_ptr<StoreClient>(std::make_unique<Client>(config, engine));
}

std::vector<Status> StoreClient::put_and_wait(std::vector<PutItem> items, Deadline deadline) {
  const auto box = std::make_shared<Box<std::vector<Status>>>();
  const std::size_t count = items.size();
  put(std::move(items), deadline, Answer<std::vector<Status>>(box, std::vector<Status>(count, cancelled())));
  return box->take();
}

std::vector<Status> StoreClient::replicate_and_wait(std::vector<PutItem> items, Deadline deadline) {
  const auto box = std::make_shared<Box<std::vector<Status>>>();
  const std::size_t count = items.size();
  replicate(std::move(items), deadline, Answer<std::vector<Status>>(box, std::vector<Status>(count, cancelled())));
  return box->take();
}

std::vector<GetOutcome> StoreClient::get_and_wait(std::vector<GetItem> items, Deadline deadline) {
  const auto box = std::make_shared<Box<std::vector<GetOutcome>>>();
  const std::vector<GetOutcome> lost(items.size(), GetOutcome{cancelled(), 0, {}});
  get(std::move(items), deadline, Answer<std::vector<GetOutcome>>(box, lost));
  return box->take();
}

}  // namespace mooncake::store
