#include "cli/service_process.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <utility>

#include "base/log.h"
#include "cli/auth_options.h"
#include "cli/rail_options.h"
#include "cli/transfer_metrics.h"
#include "transfer/fd.h"

namespace mooncake::cli {
namespace {

LogLevel parse_level(const std::string& name) {
  if (name == "debug") return LogLevel::kDebug;
  if (name == "warn") return LogLevel::kWarn;
  return name == "error" ? LogLevel::kError : LogLevel::kInfo;
}

/// Thousands of connections need as many descriptors; the soft limit is a default for programs that use select().
void raise_file_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

void write_line(int fd, const std::string& line) {
  if (fd < 0) return;
  // A pipe takes a line of this length whole; nobody listening is no failure of this process.
  if (::write(fd, line.data(), line.size()) < 0) log_warn("nobody reads descriptor {} for the ready line", fd);
}

/// kInvalidArgument, with an example, unless `master` is an endpoint that can be connected to.
Status check_master(std::string_view master) {
  const auto endpoint = transfer::parse_endpoint(master);
  const bool takes_any_port = endpoint.ok() && transfer::format_endpoint(*endpoint).ends_with(":0");
  if (endpoint.ok() && !takes_any_port) return {};
  const std::string got = master.empty() ? "nothing" : fmt::format("\"{}\"", master.substr(0, 100));
  return {Code::kInvalidArgument,
          fmt::format("--master: expected the master's transfer endpoint, a numeric address and a port as in "
                      "127.0.0.1:7000, got {}",
                      got)};
}

std::string key(std::string_view section, std::string_view name) { return fmt::format("{}.{}", section, name); }

}  // namespace

Result<std::unique_ptr<ServiceProcess>> ServiceProcess::create(const Config& config, std::string_view section) {
  const auto text = [&](std::string_view name) { return config.text(key(section, name)); };
  MC_RETURN_IF_ERROR(
      log_init({.process = text("name"), .file = text("log_file"), .level = parse_level(text("log_level"))}));
  const int ready_fd = static_cast<int>(config.integer(key(section, "ready_fd")));
  if (ready_fd >= 0 && ::fcntl(ready_fd, F_SETFD, FD_CLOEXEC) != 0) {
    return Status(Code::kInvalidArgument, fmt::format("--ready-fd {}: no such open descriptor", ready_fd));
  }
  std::unique_ptr<ServiceProcess> process(new ServiceProcess(ready_fd));
  process->loop_ = net::EventLoop::create(text("name").substr(0, 15));
  transfer::TransferConfig transfer;
  transfer.listen = text("listen");
  transfer.node_name = text("name");
  transfer.cluster_id = text("cluster_id");
  transfer.auth = auth_config(config, section);
  set_rails(config, section, transfer);
  transfer.rdma_devices = text("rdma_devices");
  MC_ASSIGN_OR_RETURN(process->transfer_, transfer::TransferEngine::create(std::move(transfer), *process->loop_));
  export_transfer_stats(*process->transfer_, process->metrics_);
  return process;
}

ServiceProcess::~ServiceProcess() {
  admin_.reset();  // its threads read what is destroyed below
}

Status ServiceProcess::start_admin(const std::string& listen) {
  net::HttpServerConfig config;
  config.listen = listen;
  MC_ASSIGN_OR_RETURN(
      admin_, net::HttpServer::create(
                  config, [this](const std::shared_ptr<net::HttpExchange>& exchange) { answer_admin(*exchange); }));
  return {};
}

void ServiceProcess::answer_admin(net::HttpExchange& exchange) {
  const net::HttpHeaders text = {{"content-type", "text/plain; version=0.0.4"}};
  const std::string& path = exchange.request().path;
  if (path == "/metrics") {
    exchange.respond(200, text, metrics_.scrape());
  } else if (path == "/livez") {
    exchange.respond(200, text, "ok\n");
  } else if (path == "/readyz") {
    exchange.respond(ready_ ? 200 : 503, text, ready_ ? "ready\n" : "not ready yet\n");
  } else {
    exchange.respond(404, text, "there are /metrics, /livez and /readyz\n");
  }
}

void ServiceProcess::announce_ready(ReadyLine line) {
  if (ready_.exchange(true)) return;
  if (line.endpoint.empty()) line.endpoint = transfer_->name();
  if (line.metrics.empty() && admin_) line.metrics = fmt::format("http://{}/metrics", admin_->endpoint());
  log_info("ready at {}, metrics at {}", line.endpoint, line.metrics);
  write_line(ready_fd_, ready_line(line));
}

void ServiceProcess::run(Drain drain) {
  loop_->on_signal([this, &drain](int signum) {
    log_info("ending on signal {}", signum);
    const bool again = std::exchange(told_to_end_, true);
    if (again || !drain) return loop_->stop();
    const Deadline deadline = loop_->clock().now() + kDrainMax;
    drain(deadline, [this] { loop_->stop(); });
  });
  loop_->run();
}

int run_service(const Invocation& invocation, std::string_view section,
                const std::function<Status(ServiceProcess&)>& body) {
  std::signal(SIGPIPE, SIG_IGN);  // a peer that is gone is an error code, not a signal
  raise_file_limit();
  const int ready_fd = static_cast<int>(invocation.config.integer(key(section, "ready_fd")));
  auto process = ServiceProcess::create(invocation.config, section);
  const Status status = process.ok() ? body(**process) : process.status();
  if (status.ok()) return kExitOk;
  log_error("{}", status.message());
  write_line(ready_fd, ready_error_line(status.message()));
  return fail(status);
}

int run_member(const Invocation& invocation, std::string_view section,
               const std::function<Status(ServiceProcess&)>& body) {
  const Status status = check_master(invocation.config.text(key(section, "master")));
  if (status.ok()) return run_service(invocation, section, body);
  write_line(static_cast<int>(invocation.config.integer(key(section, "ready_fd"))), ready_error_line(status.message()));
  (void)fail(status);
  return kExitUsage;
}

}  // namespace mooncake::cli
