// transfer_soak SECONDS [plain|mac|tls [SEED]]: batches over every local transport between three processes, while
// connections are cut, processes killed and restarted, and memory is taken away. Status 0: not a byte was wrong,
// nothing was stuck, and nothing grew. Prints its totals, and its seed, which repeats the choices but not the times.
#include <malloc.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>

#include "chaos.h"
#include "file_worker.h"
#include "peer_process.h"
#include "worker.h"

namespace mooncake::soak {
namespace {

/// More than a connection that is just being made again, and less than one leak a kill.
constexpr std::size_t kDescriptorSlack = 8;
constexpr std::size_t kPoolSlack = 3;
/// A leak of what a batch of a slice needs would be more in a few minutes.
constexpr std::size_t kHeapSlack = 4u << 20;

struct Use {
  std::size_t descriptors = 0;
  std::size_t pools = 0;  ///< shared memory that is mapped, our own and peers'
  std::size_t heap = 0;   ///< bytes that are resident and not shared: how much of a peer's pool is, is its own affair
};

Use use_of_this_process() {
  ::malloc_trim(0);
  Use use;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) ++use.descriptors;
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) use.pools += line.find("/memfd:") == std::string::npos ? 0 : 1;
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    if (word == "RssAnon:" && status >> use.heap) use.heap <<= 10;
  }
  return use;
}

class Soak {
 public:
  Soak(int seconds, const std::string& mode, std::uint64_t seed)
      : seconds_(seconds),
        rng_(seed),
        credentials_(mode),
        shm_(endpoint(0), true, credentials_),
        tcp_(endpoint(1), false, credentials_),
        engine_(*transfer::TransferEngine::create(
            {.node_name = "soak", .connections_per_peer = 4, .auth = credentials_.config()})),
        here_(*engine_) {
    for (int slot = 0; slot < kSlots; ++slot) {
      add({.name = [this] { return shm_.name(); }, .can_be_lost = true}, slot);
      add({.name = [this] { return tcp_.name(); }, .can_be_lost = true}, slot);
    }
    for (int slot = 0; slot < 2; ++slot) add({.name = [this] { return engine_->name(); }}, slot);
    file_ = std::make_unique<FileWorker>(*engine_, rng_.next(), totals_);
  }

  ~Soak() {
    file_.reset();
    engine_.reset();  // with its handlers, which use the server
  }

  /// @return whether all is well.
  bool run() {
    phase(seconds_ / 4.0);  // until then caches fill
    const Use before = use_of_this_process();
    phase(seconds_ * 3 / 4.0);
    const Use after = use_of_this_process();
    if (after.descriptors > before.descriptors + kDescriptorSlack) totals_.fail("descriptors leak");
    if (after.pools > before.pools + kPoolSlack) totals_.fail("mapped pools leak");
    if (!transfer::kSanitized && after.heap > before.heap + kHeapSlack) totals_.fail("memory leaks");
    look_for_what_was_left_out();
    for (PeerProcess* peer : {&shm_, &tcp_}) {
      if (!peer->end()) totals_.fail("a peer died by itself, or did not end well");
    }
    std::printf("soak: %s; descriptors %zu, then %zu; pools %zu, then %zu; heap %zu MiB, then %zu\n",
                totals_.line().c_str(), before.descriptors, after.descriptors, before.pools, after.pools,
                before.heap >> 20, after.heap >> 20);
    return totals_.failures == 0;
  }

 private:
  /// Below the ports that the kernel gives out: one that is free for a moment stays free.
  static std::string endpoint(int number) {
    return fmt::format("127.0.0.1:{}", 16'384 + (::getpid() * 2 + number) % 16'000);
  }
  void add(Worker::Target target, int slot) {
    workers_.push_back(std::make_unique<Worker>(*engine_, std::move(target), slot, rng_.next(), totals_));
  }
  /// A soak that passes because something never happened says nothing.
  void look_for_what_was_left_out() {
    std::map<std::string, std::uint64_t> moved;
    for (const transfer::TransferStats& row : engine_->stats()) {
      moved[row.transport] += row.bytes_sent + row.bytes_received;
    }
    for (const char* transport : {"mem", "shm", "tcp", "file"}) {
      if (moved[transport] == 0) totals_.fail(fmt::format("nothing was moved by {}", transport));
    }
    if (totals_.notifies == 0) totals_.fail("no notify was sent");
    if (totals_.revocations == 0) totals_.fail("no memory was revoked in flight");
    if (totals_.connections_cut == 0) totals_.fail("no connection was cut");
    // So many blows fall in a minute that one of them kills; under sanitizers they are few.
    if (!transfer::kSanitized && seconds_ >= 60 && totals_.kills == 0) totals_.fail("no peer was killed");
  }
  void phase(double seconds) {
    const Instant end = clock_now() + Millis(static_cast<std::int64_t>(seconds * 1'000));
    std::vector<std::thread> threads;
    for (const auto& worker : workers_) threads.emplace_back([&] { worker->run_until(end); });
    threads.emplace_back([&] { file_->run_until(end); });
    Chaos({&shm_, &tcp_}, rng_.next(), totals_).run_until(end);
    for (std::thread& thread : threads) thread.join();
    const bool whole = transfer::eventually([&] {
      for (const PeerProcess* peer : {&shm_, &tcp_}) {
        static_cast<void>(engine_->call_and_wait(*engine_->connect(peer->name()), 1, "", transfer::soon()));
        if (transfer::sockets_to(peer->name()).size() != 4) return false;
      }
      return true;
    });
    if (!whole) totals_.fail("connections that were cut are not made again");
  }

  const int seconds_;
  Rng rng_;
  Totals totals_;
  const Credentials credentials_;
  PeerProcess shm_;
  PeerProcess tcp_;
  std::unique_ptr<transfer::TransferEngine> engine_;
  SlotServer here_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::unique_ptr<FileWorker> file_;
};

}  // namespace
}  // namespace mooncake::soak

int main(int argc, char** argv) {
  using namespace mooncake;  // NOLINT(google-build-using-namespace): this function alone
  if (argc == 6 && std::string_view(argv[1]) == "peer") {
    return soak::PeerProcess::main(argv[2], std::string_view(argv[3]) == "shm",
                                   soak::Credentials::config(argv[4], argv[5]));
  }
  const int seconds = argc > 1 ? std::atoi(argv[1]) : 0;
  const std::string mode = argc > 2 ? argv[2] : "plain";
  if (seconds < 1 || (mode != "plain" && mode != "mac" && mode != "tls")) {
    std::fprintf(stderr, "usage: transfer_soak SECONDS [plain|mac|tls [SEED]]\n");
    return 2;
  }
  // What large buffers leave behind is given back, so that what stays is what somebody keeps.
  ::mallopt(M_MMAP_THRESHOLD, 256 << 10);
  const std::uint64_t seed = argc > 3 ? std::strtoull(argv[3], nullptr, 10) : random_seed();
  std::printf("soak: %d s, %s, seed %llu\n", seconds, mode.c_str(), static_cast<unsigned long long>(seed));
  soak::Soak soak(seconds, mode, seed);
  return soak.run() ? 0 : 1;
}
