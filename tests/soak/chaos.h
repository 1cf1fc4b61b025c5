// Chaos: breaks what is between this engine and its peers, and the peers themselves. On the calling thread.
#pragma once

#include <thread>
#include <vector>

#include "peer_process.h"
#include "totals.h"
#include "transfer/test_slowdown.h"
#include "transfer/test_sockets.h"
#include "worker.h"

namespace mooncake::soak {

class Chaos {
 public:
  Chaos(std::vector<PeerProcess*> peers, std::uint64_t seed, Totals& totals)
      : peers_(std::move(peers)), rng_(seed), totals_(totals) {}

  /// In the end all peers run.
  void run_until(Instant end) {
    while (clock_now() < end && totals_.failures == 0) {
      pause(20 * transfer::kSlowdown, 200 * transfer::kSlowdown);  // lets something get under way before the next blow
      PeerProcess& peer = *peers_[rng_.below(peers_.size())];
      const std::uint64_t dice = rng_.below(20);
      if (dice < 10)
        cut_one(peer);
      else if (dice < 12)
        cut_all(peer);
      else if (dice < 16)
        cut_shm();
      else if (dice < 18)
        stop(peer);
      else
        kill(peer);
    }
  }

 private:
  void pause(std::uint64_t from_ms, std::uint64_t to_ms) {
    std::this_thread::sleep_for(Millis(from_ms + rng_.below(to_ms - from_ms)));
  }
  void cut_one(const PeerProcess& peer) {
    const std::vector<int> sockets = transfer::sockets_to(peer.name());
    if (sockets.empty()) return;
    transfer::reset_socket(sockets[rng_.below(sockets.size())]);
    ++totals_.connections_cut;
  }
  void cut_all(const PeerProcess& peer) {
    for (const int fd : transfer::sockets_to(peer.name())) {
      transfer::reset_socket(fd);
      ++totals_.connections_cut;
    }
  }
  void cut_shm() {
    for (const int fd : transfer::unix_sockets()) {
      transfer::shut_socket(fd);
      ++totals_.connections_cut;
    }
  }
  void stop(const PeerProcess& peer) {
    peer.signal(SIGSTOP);
    pause(0, 400);
    peer.signal(SIGCONT);
    ++totals_.stops;
  }
  void kill(PeerProcess& peer) {
    if (!peer.kill()) totals_.fail("a peer had died by itself");
    pause(0, 200);
    peer.start();
    ++totals_.kills;
  }

  const std::vector<PeerProcess*> peers_;
  Rng rng_;
  Totals& totals_;
};

}  // namespace mooncake::soak
