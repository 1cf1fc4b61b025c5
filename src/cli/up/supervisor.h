// Supervisor: the life of a cluster on one machine. Starts every process, says when all are ready, starts again what
// dies, and ends all of it.
//
//   starting --all ready--> running --SIGINT, SIGTERM, SIGHUP--> ending the gateway --> ending the others --> ended
//      +-- a process cannot start: the same end, status 1
//
// The master starts first, since the others need its endpoint; the gateway ends first, so that open answers may finish
// while the workers still live. One thread, one poll(): signals, exits (pidfd), ready lines and timers are its events.
#pragma once

#include <csignal>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/status.h"
#include "base/time.h"
#include "cli/up/child_process.h"
#include "cli/up/cluster_file.h"
#include "cli/up/cluster_plan.h"
#include "cli/up/restart_policy.h"
#include "cli/up/run_dir.h"

namespace mooncake::cli {

/// Loading a large model from a cold disk; a process that has said nothing by then is taken for stuck.
inline constexpr Seconds kReadyWait{180};
/// Open answers get this long to finish when the cluster ends; services bound their own drain to less.
inline constexpr Seconds kGatewayEndWait{4};
/// The others have nothing to do once the gateway is gone. Together with the above well below 10 s.
inline constexpr Seconds kOthersEndWait{4};

class Supervisor {
 public:
  /// Told once, when every process is ready for the first time; `model` is the id that requests name. Runs inside the
  /// one poll loop: it must not wait for anybody.
  using ReadyHandler = std::function<void(const std::string& url, const std::string& model)>;
  /// Told of deaths, restarts and changes of a worker's role, one line each.
  using NoticeHandler = std::function<void(const std::string& line)>;

  /// `program` is the path of this binary. `dir` must outlive the supervisor.
  Supervisor(UpConfig config, std::string program, const RunDir& dir, std::uint32_t cores, ReadyHandler ready,
             NoticeHandler notice);
  ~Supervisor();

  /// Runs until a signal ends the cluster (ok), or until it cannot be started (which process, and its own words).
  /// Blocks SIGINT, SIGTERM and SIGHUP in the calling thread, which must be the process's first.
  Status run();

 private:
  enum class Phase { kStarting, kRunning, kEndingGateway, kEndingOthers };

  struct Process {
    ProcessPlan plan;
    std::optional<ChildProcess> child;  ///< empty: dead
    std::optional<ReadyLine> ready;     ///< what the living child said
    std::string endpoint;               ///< the last one known: a restarted master or gateway takes it again
    RestartPolicy policy;
    Instant start_at = Instant::max();  ///< dead: when to start it again
    Instant ready_by = Instant::max();  ///< alive and not ready: when to give up on it
  };

  [[nodiscard]] Instant now() const { return clock_.now(); }
  [[nodiscard]] bool ending() const { return phase_ == Phase::kEndingGateway || phase_ == Phase::kEndingOthers; }
  [[nodiscard]] int poll_timeout_ms() const;

  void wait_for_events();
  void on_signal();
  void read_ready_lines(Process& process);
  void on_ready_line(Process& process, const std::string& line);
  void on_exit(Process& process);
  void on_time();

  Status start(Process& process);
  void start_all_but_the_master();
  void fail(Status why);
  void begin_ending();
  void end_others();
  void signal_all(int signum, bool gateway_only);
  [[nodiscard]] bool all_ready() const;
  [[nodiscard]] bool any_alive(bool gateway_only) const;
  void write_cluster_file();

  const UpConfig config_;
  const std::string program_;
  const RunDir& dir_;
  const std::uint32_t cores_;
  const ReadyHandler ready_;
  const NoticeHandler notice_;
  const SteadyClock clock_;

  Phase phase_ = Phase::kStarting;
  Status outcome_;  ///< why the cluster could not be started
  std::vector<Process> processes_;
  std::string url_;
  std::string model_;
  int signal_fd_ = -1;
  Instant end_by_ = Instant::max();  ///< ending: when to stop being patient
};

}  // namespace mooncake::cli
