// For tests: two network namespaces, A and B, joined by two cables (rail 0 and rail 1) that can be cut, made lossy and
// slowed down. Engines of this process live in either: a thread that was in a namespace keeps it, and so do its sockets
// and the threads that it starts.
//
// Nothing has a name in the system: when the last descriptor and thread are gone, however the process ended, the kernel
// takes it all away. Needs root.
#pragma once

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sched.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "base/unique_fd.h"
#include "transfer/test_node.h"

namespace mooncake::transfer {

class TestNetwork {
 public:
  enum Side : std::uint8_t { kA, kB };
  static constexpr int kRails = 2;

  /// @return null if this machine does not allow it; `missing` says what it lacks.
  static std::unique_ptr<TestNetwork> create(std::string& missing) {
    std::unique_ptr<TestNetwork> network(new TestNetwork);
    missing = ::geteuid() == 0 ? network->set_up() : "needs root";
    return missing.empty() ? std::move(network) : nullptr;
  }

  /// Of an interface: "10.9.RAIL.1" in A, ".2" in B.
  static std::string address(Side side, int rail) { return fmt::format("10.9.{}.{}", rail, side + 1); }

  /// Runs `body` on a thread in that namespace.
  void on(Side side, const std::function<void()>& body) {
    std::thread([&] {
      CHECK(::setns(spaces_[side].get(), CLONE_NEWNET) == 0);
      body();
    }).join();
  }
  /// An engine on both rails of that side; `port` 0 takes free ones.
  std::unique_ptr<TestNode> node(Side side, TransferConfig config, int port = 0) {
    config.listen = fmt::format("{}:{}", address(side, 0), port);
    config.rails = {fmt::format("{}:{}", address(side, 1), port)};
    config.auth.insecure = true;
    config.enable_shm = false;
    std::unique_ptr<TestNode> made;
    on(side, [&] { made = std::make_unique<TestNode>(config); });
    return made;
  }
  /// Runs a shell command in that namespace. CHECK-fails if it does.
  void run(Side side, const std::string& command) {
    const std::string output = try_run(side, command);
    if (!output.empty()) std::fprintf(stderr, "%s\n", output.c_str());
    CHECK(output.empty());
  }

  /// Takes the cable out, or in again: the interface at A is down, the one at B has no carrier.
  void unplug(int rail) { run(kA, fmt::format("ip link set rail{} down", rail)); }
  void plug_in(int rail) { run(kA, fmt::format("ip link set rail{} up", rail)); }
  /// From now on that side loses so many of 100 packets that come in on the rail, and nobody is told.
  void lose(Side side, int rail, int percent) {
    const std::string chance = percent < 100 ? fmt::format("numgen random mod 100 '<' {} ", percent) : "";
    run(side, fmt::format("nft add rule ip t in iifname rail{} {}drop", rail, chance));
  }
  /// Nothing passes any more of the connections that A has made from these ports; new ones are let through.
  void silence(const std::vector<int>& ports) {
    const std::string set = fmt::format("{{ {} }}", fmt::join(ports, ", "));
    run(kA, fmt::format("nft add rule ip t in tcp dport '{}' drop", set));
    run(kB, fmt::format("nft add rule ip t in tcp sport '{}' drop", set));
  }
  /// Nothing is lost any more.
  void heal() {
    for (const Side side : {kA, kB}) run(side, "nft flush chain ip t in");
  }
  /// Both ways of the rail carry at most that many bits a second.
  void slow_down(int rail, const std::string& rate) {
    for (const Side side : {kA, kB}) {
      run(side, fmt::format("tc qdisc add dev rail{} root tbf rate {} burst 64kb latency 100ms", rail, rate));
    }
  }

  /// Bytes that A has sent and received over that rail, headers included.
  std::uint64_t bytes(int rail) {
    unsigned long long received = 0;
    unsigned long long sent = 0;
    on(kA, [&] {
      const std::unique_ptr<FILE, int (*)(FILE*)> file(std::fopen("/proc/thread-self/net/dev", "r"), &std::fclose);
      CHECK(file != nullptr);
      const std::string name = fmt::format("rail{}", rail);
      std::array<char, 512> line;
      while (std::fgets(line.data(), line.size(), file.get()) != nullptr) {
        std::array<char, 32> device;
        unsigned long long in = 0;
        unsigned long long out = 0;
        const int found =
            std::sscanf(line.data(), " %31[^:]: %llu %*u %*u %*u %*u %*u %*u %*u %llu", device.data(), &in, &out);
        if (found == 3 && device.data() == name) received = in, sent = out;
      }
    });
    return received + sent;
  }

 private:
  TestNetwork() = default;

  /// @return what the command says, if it fails.
  std::string try_run(Side side, const std::string& command) {
    std::string output;
    on(side, [&] {
      FILE* const pipe = ::popen(("( " + command + " ) 2>&1").c_str(), "r");
      CHECK(pipe != nullptr);
      std::array<char, 512> text;
      while (std::fgets(text.data(), text.size(), pipe) != nullptr) output += text.data();
      output = ::pclose(pipe) == 0 ? "" : fmt::format("`{}`: {}", command, output);
    });
    return output;
  }

  std::string set_up() {
    for (UniqueFd& space : spaces_) {
      std::thread([&] {
        if (::unshare(CLONE_NEWNET) == 0) space = UniqueFd(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
      }).join();
      if (!space.valid()) return "needs network namespaces";
    }
    for (int rail = 0; rail < kRails; ++rail) {
      const std::string made = try_run(kA, fmt::format("ip link add rail{0} type veth peer name rail{0} netns "
                                                       "/proc/{1}/fd/{2}",
                                                       rail, ::getpid(), spaces_[kB].get()));
      if (!made.empty()) return made;
      for (const Side side : {kA, kB}) {
        const std::string up = try_run(side, fmt::format("ip address add {0}/24 dev rail{1} && ip link set rail{1} up",
                                                         address(side, rail), rail));
        if (!up.empty()) return up;
      }
    }
    for (const Side side : {kA, kB}) {
      // Also tries what single tests need, so that all of them say at once what is missing.
      const std::string rest = try_run(
          side,
          "ip link set lo up && nft add table ip t && nft add chain ip t in '{ type filter hook input priority 0; "
          "}' && nft add rule ip t in numgen random mod 100 '<' 0 drop && nft flush chain ip t in && nft add "
          "chain ip t nat_out '{ type nat hook output priority -100; }' && tc qdisc add dev lo root tbf rate "
          "1gbit burst 64kb latency 100ms && tc qdisc del dev lo root");
      if (!rest.empty()) return rest;
    }
    return {};
  }

  std::array<UniqueFd, 2> spaces_;
};

}  // namespace mooncake::transfer
