// ServiceProcess: what every long-running process of a cluster has around its service: a log, the main loop, a transfer
// engine, metrics, an admin page, signals that end it in order, and a line to whoever started it.
//
//   signal --> drain (bounded) --> loop stops --> service, transfer engine, loop are destroyed --> exit status 0
//
// The service's state belongs to the loop, which runs on the process's first thread.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/metrics.h"
#include "base/status.h"
#include "base/time.h"
#include "cli/command.h"
#include "cli/up/cluster_file.h"
#include "net/event_loop.h"
#include "net/http_server.h"
#include "transfer/transfer_engine.h"

namespace mooncake::cli {

/// Work that is open when a process is told to end gets this long; below the supervisor's patience (up/supervisor.h).
inline constexpr Seconds kDrainMax{3};

class ServiceProcess {
 public:
  /// Ends open work; calls `done` on the loop when none is left or at `deadline`. Runs on the loop, once.
  using Drain = std::function<void(Deadline deadline, Task done)>;

  /// Takes the options of `section` that all processes have. @return what is wrong with an address or the log file.
  static Result<std::unique_ptr<ServiceProcess>> create(const Config& config, std::string_view section);
  ~ServiceProcess();

  [[nodiscard]] net::EventLoop& loop() { return *loop_; }
  [[nodiscard]] transfer::TransferEngine& transfer() { return *transfer_; }
  [[nodiscard]] Metrics& metrics() { return metrics_; }

  /// Answers /metrics, /livez and /readyz at the section's `metrics` address. @return why it cannot be bound.
  Status start_admin(const std::string& listen);

  /// From now on /readyz says 200. Writes the ready line, the first time. Its endpoint is where users of the service
  /// connect to; empty: the transfer engine's. Empty metrics: the admin page. Any thread.
  void announce_ready(ReadyLine line = {});

  /// Runs the loop until SIGINT or SIGTERM and the drain that follows; a second signal ends it at once.
  void run(Drain drain = {});
  /// Whether such a signal has come. On the loop, or when it does not run.
  [[nodiscard]] bool told_to_end() const { return told_to_end_; }

 private:
  explicit ServiceProcess(int ready_fd) : ready_fd_(ready_fd) {}
  void answer_admin(net::HttpExchange& exchange);

  Metrics metrics_;
  std::unique_ptr<net::EventLoop> loop_;
  std::unique_ptr<transfer::TransferEngine> transfer_;
  std::unique_ptr<net::HttpServer> admin_;
  std::atomic<bool> ready_{false};
  bool told_to_end_ = false;
  const int ready_fd_;
};

/// Runs a service: sets up the process, then `body`, which creates the service, calls run() and destroys the service.
/// A failure is said on the ready descriptor and on standard error. @return the exit status.
int run_service(const Invocation& invocation, std::string_view section,
                const std::function<Status(ServiceProcess&)>& body);

/// run_service() for a process that joins a master. @return kExitUsage, at once, if `--master` is no endpoint: the
/// process would try to join it for ever.
int run_member(const Invocation& invocation, std::string_view section,
               const std::function<Status(ServiceProcess&)>& body);

}  // namespace mooncake::cli
