#include "cli/up/supervisor.h"

#include <fmt/core.h>
#include <poll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <utility>

#include "base/log.h"

namespace mooncake::cli {
namespace {

/// The end of what a process printed before it died, for the person who has to know why. Empty if it printed nothing.
std::string last_words(const std::string& file) {
  constexpr std::streamoff kBytes = 2'000;
  std::ifstream in(file, std::ios::ate);
  if (!in) return "";
  const std::streamoff size = in.tellg();
  in.seekg(std::max<std::streamoff>(0, size - kBytes));
  const std::string text(std::istreambuf_iterator<char>(in), {});
  return text.empty() ? "" : "; it printed:\n" + text;
}

bool is_gateway(const ProcessPlan& plan) { return plan.role == "gateway"; }

}  // namespace

Supervisor::Supervisor(UpConfig config, std::string program, const RunDir& dir, std::uint32_t cores, ReadyHandler ready,
                       NoticeHandler notice)
    : config_(std::move(config)),
      program_(std::move(program)),
      dir_(dir),
      cores_(cores),
      ready_(std::move(ready)),
      notice_(std::move(notice)) {
  for (ProcessPlan& plan : plan_cluster(config_)) {
    Process process;
    process.plan = std::move(plan);
    processes_.push_back(std::move(process));
  }
}

Supervisor::~Supervisor() {
  if (signal_fd_ >= 0) ::close(signal_fd_);
}

Status Supervisor::run() {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signum : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&signals, signum);
  ::sigprocmask(SIG_BLOCK, &signals, nullptr);
  signal_fd_ = ::signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
  if (signal_fd_ < 0) return {Code::kInternal, "signalfd failed"};

  if (Status status = start(processes_.front()); !status.ok()) return status;
  while (phase_ != Phase::kEndingOthers || any_alive(false)) {
    wait_for_events();
    on_time();
  }
  return outcome_;
}

int Supervisor::poll_timeout_ms() const {
  Instant next = end_by_;
  for (const Process& process : processes_) next = std::min({next, process.start_at, process.ready_by});
  if (next == Instant::max()) return -1;
  // Rounded up: waking a little early would spin until the time is really there.
  return static_cast<int>(std::min<std::int64_t>(remaining_ms(next, now()) + 1, 60'000));
}

void Supervisor::wait_for_events() {
  std::vector<pollfd> fds = {{signal_fd_, POLLIN, 0}};
  for (const Process& process : processes_) {  // a negative descriptor is skipped by poll()
    fds.push_back({process.child ? process.child->ready_fd() : -1, POLLIN, 0});
    fds.push_back({process.child ? process.child->exit_fd() : -1, POLLIN, 0});
  }
  if (::poll(fds.data(), fds.size(), poll_timeout_ms()) <= 0) return;
  if (fds[0].revents != 0) on_signal();
  for (std::size_t i = 0; i < processes_.size(); ++i) {
    Process& process = processes_[i];
    // The line first: a process that says why it cannot start exits right after.
    if (fds[1 + 2 * i].revents != 0 && process.child) read_ready_lines(process);
    if (fds[2 + 2 * i].revents != 0 && process.child) on_exit(process);
  }
}

void Supervisor::on_signal() {
  signalfd_siginfo info;
  while (::read(signal_fd_, &info, sizeof info) == sizeof info) {
    log_info("got signal {}", info.ssi_signo);
    if (ending()) {
      signal_all(SIGKILL, false);  // asked twice: the person is in a hurry
    } else {
      begin_ending();
    }
  }
}

void Supervisor::read_ready_lines(Process& process) {
  for (std::string line = process.child->read_ready(); !line.empty(); line = process.child->read_ready()) {
    on_ready_line(process, line);
  }
}

void Supervisor::on_ready_line(Process& process, const std::string& line) {
  auto ready = parse_ready_line(line);
  if (!ready.ok()) {
    const std::string why = fmt::format("{} could not start: {}", process.plan.name, ready.status().message());
    log_error("{}", why);
    if (phase_ == Phase::kStarting) return fail({Code::kUnavailable, why});
    notice_(why);
    return;  // it exits now, and on_exit() starts it again
  }
  const bool again = process.ready.has_value();
  process.ready = std::move(ready).value();
  // Should it die, it comes back in the role that it has taken on.
  if (!process.ready->role.empty()) process.plan.role = process.ready->role;
  process.endpoint = process.ready->endpoint;
  process.ready_by = Instant::max();
  log_info("{} is ready at {}", process.plan.name, process.endpoint);
  if (ending()) return;
  if (is_gateway(process.plan)) {
    url_ = "http://" + process.endpoint;
    model_ = process.ready->model;
  }
  if (phase_ == Phase::kRunning) {
    notice_(again ? fmt::format("{} serves as {} now", process.plan.name, process.plan.role)
                  : fmt::format("{} is back (pid {})", process.plan.name, process.child->pid()));
    write_cluster_file();
  } else if (&process == &processes_.front()) {
    start_all_but_the_master();
  } else if (all_ready()) {
    phase_ = Phase::kRunning;
    write_cluster_file();
    ready_(url_, model_);
  }
}

void Supervisor::on_exit(Process& process) {
  read_ready_lines(process);  // what it said last may still be in the pipe
  const std::string how = process.child->reap();
  process.child.reset();
  process.ready.reset();
  process.ready_by = Instant::max();
  log_info("{} {}", process.plan.name, how);
  if (ending()) return;
  const std::string what = fmt::format("{} {}", process.plan.name, how);
  if (phase_ == Phase::kStarting) {
    return fail({Code::kUnavailable, what + last_words(dir_.stderr_file(process.plan.name))});
  }
  const Nanos pause = process.policy.on_death(now());
  if (config_.restart) process.start_at = now() + pause;
  notice_(config_.restart ? fmt::format("{}; starting it again in {:.0f} ms", what, to_ms(pause)) : what);
  write_cluster_file();
}

void Supervisor::on_time() {
  const Instant time = now();
  for (Process& process : processes_) {
    if (!ending() && !process.child && process.start_at <= time) {
      process.start_at = Instant::max();
      if (Status status = start(process); !status.ok()) {
        notice_(status.message());
        process.start_at = time + process.policy.on_death(time) + kRestartPauseMin;
      }
    }
    if (process.child && process.ready_by <= time) {
      process.ready_by = Instant::max();
      log_error("{} is not ready after {} s", process.plan.name, kReadyWait.count());
      process.child->signal(SIGKILL);
    }
  }
  if (phase_ == Phase::kEndingGateway && (!any_alive(true) || end_by_ <= time)) end_others();
  if (phase_ == Phase::kEndingOthers && end_by_ <= time) {
    end_by_ = Instant::max();
    signal_all(SIGKILL, false);
  }
}

Status Supervisor::start(Process& process) {
  const bool master = process.plan.role == "master";
  // Only these two are known by their address; the others announce a new one to the master.
  const bool keeps_endpoint = master || is_gateway(process.plan);
  const Surroundings surroundings{.master = master ? "" : processes_.front().endpoint,
                                  .listen = keeps_endpoint ? process.endpoint : "",
                                  .log_file = dir_.log_file(process.plan.name),
                                  .cores = cores_,
                                  .ready_workers = phase_ == Phase::kStarting ? config_.prefill + config_.decode : 0};
  auto child = ChildProcess::start(program_, process_arguments(config_, process.plan, surroundings),
                                   dir_.stderr_file(process.plan.name));
  if (!child.ok()) return child.status();
  log_info("started {} with pid {}", process.plan.name, child->pid());
  process.child = std::move(child).value();
  process.policy.on_start(now());
  process.ready_by = now() + kReadyWait;
  return {};
}

void Supervisor::start_all_but_the_master() {
  for (std::size_t i = 1; i < processes_.size(); ++i) {
    if (Status status = start(processes_[i]); !status.ok()) return fail(status);
  }
}

void Supervisor::fail(Status why) {
  if (outcome_.ok()) outcome_ = std::move(why);
  end_others();
}

void Supervisor::begin_ending() {
  phase_ = Phase::kEndingGateway;
  end_by_ = now() + kGatewayEndWait;
  signal_all(SIGTERM, true);
}

void Supervisor::end_others() {
  phase_ = Phase::kEndingOthers;
  end_by_ = now() + kOthersEndWait;
  signal_all(SIGTERM, false);
}

void Supervisor::signal_all(int signum, bool gateway_only) {
  for (const Process& process : processes_) {
    if (process.child && (!gateway_only || is_gateway(process.plan))) process.child->signal(signum);
  }
}

bool Supervisor::all_ready() const {
  return std::all_of(processes_.begin(), processes_.end(), [](const Process& p) { return p.ready.has_value(); });
}

bool Supervisor::any_alive(bool gateway_only) const {
  return std::any_of(processes_.begin(), processes_.end(), [&](const Process& process) {
    return process.child && (!gateway_only || is_gateway(process.plan));
  });
}

void Supervisor::write_cluster_file() {
  std::vector<ClusterEntry> entries;
  for (const Process& process : processes_) {
    if (!process.child || !process.ready) continue;
    entries.push_back({.role = process.plan.role,
                       .name = process.plan.name,
                       .pid = process.child->pid(),
                       .endpoint = process.ready->endpoint,
                       .metrics = process.ready->metrics});
  }
  if (Status status = dir_.write_cluster_file(cluster_json(url_, entries)); !status.ok()) {
    log_error("{}", status.message());
    notice_(status.message());
  }
}

}  // namespace mooncake::cli
