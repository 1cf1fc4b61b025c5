// The rounds of `mooncake bench transfer`: each measures ours and what it is compared with, one right after the other,
// and every other round in the opposite order, so that none of two always comes second.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "base/time.h"
#include "cli/bench_transfer/bench_file.h"
#include "cli/bench_transfer/bench_gpu.h"
#include "cli/bench_transfer/core_pins.h"
#include "cli/bench_transfer/fio.h"
#include "cli/bench_transfer/forked_server.h"
#include "cli/bench_transfer/iperf3.h"
#include "cli/bench_transfer/targets.h"
#include "cli/transfer/transfer_client.h"

namespace mooncake::cli {

/// The bulk that is compared moves batches of so many blocks; both sides need room for the larger ones, and so does the
/// memory that files are moved to and from.
inline constexpr std::uint32_t kRoundBatch = 32;
inline constexpr std::uint64_t kRoundBytes = kRoundBatch * std::uint64_t{1 << 20};
/// Of the file: more than the caches that are in drives.
inline constexpr std::uint64_t kRoundFileBytes = 1ull << 30;

/// A client that moves bytes by tcp, and whose peer asks for proofs of that kind: "mac", "tls", or "plain" for none.
struct ProofPeer {
  std::string_view mode;
  TransferClient* client;
  pid_t serve;  ///< the peer's process
};

/// What the rounds need, borrowed. A client that is null was not asked for.
struct RoundPeers {
  TransferClient* shm = nullptr;
  TransferClient* tcp = nullptr;
  TransferClient* file = nullptr;  ///< of `disk`; null: `why_no_file`, if it was asked for
  const BenchFile* disk = nullptr;
  std::string why_no_file = {};
  pid_t serve = 0;  ///< the process of the clients' peer
  const ForkedServer* ping_pong = nullptr;
  const ForkedServer* per_transfer = nullptr;
  Iperf3* iperf3 = nullptr;  ///< null: `why_no_iperf3`
  std::string why_no_iperf3 = {};
  std::vector<ProofPeer> proofs = {};  ///< "plain" is `tcp`; none without it
  const Fio* fio = nullptr;            ///< null: `why_no_fio`
  std::string why_no_fio = {};
  BenchGpu* gpu = nullptr;  ///< null: `why_no_gpu`, if it was asked for
  std::string why_no_gpu = {};
  TransferClient* cuda = nullptr;         ///< between the host and `gpu`
  TransferClient* cuda_inside = nullptr;  ///< from `gpu` to `gpu`
};

class Rounds {
 public:
  /// Each measurement takes `cell`; iperf3 takes whole seconds, at least one.
  Rounds(RoundPeers peers, Nanos cell) : peers_(std::move(peers)), cell_(cell) {}

  /// One round of everything; `progress` is called before each measurement. @return the first failure.
  Status run(const std::function<void(std::string_view what)>& progress);

  [[nodiscard]] const Series& series() const { return series_; }
  /// What this machine could not give: baselines, placements, room for a file, a GPU; never more of ours.
  [[nodiscard]] const Missing& missing() const { return missing_; }

 private:
  using Progress = std::function<void(std::string_view)>;
  using Op = transfer::TransferRequest::Op;
  using Step = std::function<Status()>;

  Status run_shm(const Progress& progress);
  Status run_tcp(const Progress& progress);
  Status run_proofs(const Progress& progress);
  Status proof(const ProofPeer& peer, Op op);
  Status proof_on_two_cores(const ProofPeer& peer, Op op);
  Status run_messages(const Progress& progress);
  Status run_files(const Progress& progress);
  Status run_gpu(const Progress& progress);
  Status cuda_copy(BenchGpu::Way way, std::string_view name);
  Status in_turn(std::vector<Step> steps);
  Status bulk(TransferClient& client, std::string_view what, Op op, std::uint64_t block_bytes, std::string_view size);
  Status file(Op op);
  void run_fio(Op op);
  Status run_memcpy();
  Status run_per_transfer();
  void run_iperf3();
  Status round_trip(std::uint64_t bytes, std::string_view size, Placement placement);
  void add(std::string name, double value) { series_[std::move(name)].push_back(value); }

  RoundPeers peers_;
  const Nanos cell_;
  bool backwards_ = false;
  Series series_;
  Missing missing_;
};

}  // namespace mooncake::cli
