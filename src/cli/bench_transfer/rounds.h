// The rounds of `mooncake bench transfer`: each measures ours and what it is compared with, one right after the other.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/status.h"
#include "base/time.h"
#include "cli/bench_transfer/core_pins.h"
#include "cli/bench_transfer/forked_server.h"
#include "cli/bench_transfer/iperf3.h"
#include "cli/bench_transfer/targets.h"
#include "cli/transfer/transfer_client.h"

namespace mooncake::cli {

/// The bulk that is compared moves batches of so many blocks; both sides need room for the larger ones.
inline constexpr std::uint32_t kRoundBatch = 32;
inline constexpr std::uint64_t kRoundBytes = kRoundBatch * std::uint64_t{1 << 20};

/// What the rounds need, borrowed. A client that is null was not asked for.
struct RoundPeers {
  TransferClient* shm = nullptr;
  TransferClient* tcp = nullptr;
  pid_t serve = 0;  ///< the process of the clients' peer
  const ForkedServer* ping_pong = nullptr;
  const ForkedServer* per_transfer = nullptr;
  Iperf3* iperf3 = nullptr;  ///< null: `why_no_iperf3`
  std::string why_no_iperf3 = {};
};

class Rounds {
 public:
  /// Each measurement takes `cell`; iperf3 takes whole seconds, at least one.
  Rounds(RoundPeers peers, Nanos cell) : peers_(std::move(peers)), cell_(cell) {}

  /// One round of everything; `progress` is called before each measurement. @return the first failure.
  Status run(const std::function<void(std::string_view what)>& progress);

  [[nodiscard]] const Series& series() const { return series_; }
  /// What this machine could not give: baselines and placements, never ours.
  [[nodiscard]] const Missing& missing() const { return missing_; }

 private:
  using Progress = std::function<void(std::string_view)>;

  Status run_shm(const Progress& progress);
  Status run_tcp(const Progress& progress);
  Status run_messages(const Progress& progress);
  Status bulk(TransferClient& client, std::string_view transport, transfer::TransferRequest::Op op,
              std::uint64_t block_bytes, std::string_view size);
  void run_iperf3();
  Status round_trip(std::uint64_t bytes, std::string_view size, Placement placement);
  void add(std::string name, double value) { series_[std::move(name)].push_back(value); }

  RoundPeers peers_;
  const Nanos cell_;
  Series series_;
  Missing missing_;
};

}  // namespace mooncake::cli
