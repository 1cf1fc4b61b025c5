// `mooncake doctor`: whether this machine can run a cluster. Each line is one finding: what, whether it will do, and
// what to do if not.
#include <fmt/core.h>
#include <fmt/ranges.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "cli/tool_commands.h"
#include "net/event_loop.h"
#include "net/http_server.h"
#include "transfer/cuda/cuda_driver.h"
#include "transfer/rdma/rdma_host.h"
#include "transfer/transfer_engine.h"

namespace mooncake::cli {
namespace {

enum class Grade { kGood, kPoor, kBad };

/// kPoor works, but slower; kBad keeps a cluster from running.
struct Finding {
  Grade grade = Grade::kGood;
  std::string what;
  std::string detail;
};

Finding check_port(const std::string& address) {
  net::HttpServerConfig config;
  config.listen = address;
  auto server = net::HttpServer::create(config, [](const std::shared_ptr<net::HttpExchange>&) {});
  if (server.ok()) return {Grade::kGood, "port", fmt::format("{} is free", (*server)->endpoint())};
  return {Grade::kBad, "port", server.status().message() + "; choose another with --http"};
}

Finding check_memory() {
  std::ifstream in("/proc/meminfo");
  std::string line;
  while (std::getline(in, line)) {
    if (!line.starts_with("MemAvailable:")) continue;
    const double gib = std::strtod(line.c_str() + std::strlen("MemAvailable:"), nullptr) / (1 << 20);
    // Three engines of the default model, a pool and the landing areas, when all are full.
    constexpr double kWantedGib = 3;
    const bool enough = gib >= kWantedGib;
    return {enough ? Grade::kGood : Grade::kPoor, "memory",
            fmt::format("{:.1f} GiB available{}", gib, enough ? "" : "; below 3 GiB use a smaller --pool-bytes")};
  }
  return {Grade::kPoor, "memory", "/proc/meminfo does not tell"};
}

Finding check_files() {
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  constexpr rlim_t kWanted = 16'384;  // 12,000 client connections, and those between processes
  if (limit.rlim_max >= kWanted) return {Grade::kGood, "open files", fmt::format("{} allowed", limit.rlim_max)};
  return {Grade::kPoor, "open files",
          fmt::format("{} allowed: at most that many clients; raise `ulimit -Hn` to {}", limit.rlim_max, kWanted)};
}

Finding check_model(const Invocation& invocation) {
  const std::string& engine = invocation.config.text("doctor.engine");
  auto path = resolve_model(engine, invocation.config.text("doctor.model"), invocation.environment);
  if (!path.ok()) return {Grade::kBad, "model", path.status().message()};
  if (path->empty()) return {Grade::kGood, "model", "none needed"};
  std::error_code error;
  const auto bytes = std::filesystem::file_size(*path, error);
  if (error) return {Grade::kBad, "model", fmt::format("{}: {}", *path, error.message())};
  return {Grade::kGood, "model", fmt::format("{} ({} MB)", *path, bytes >> 20)};
}

Finding check_cpu() {
  std::ifstream in("/proc/cpuinfo");
  std::string line;
  while (std::getline(in, line)) {
    if (!line.starts_with("flags") && !line.starts_with("Features")) continue;
    std::istringstream words(line);
    std::string best = "no wide vectors: prefill will be slow";
    std::string word;
    int rank = 0;
    const std::array<std::string, 4> known = {"asimd", "avx2", "avx512f", "avx512_vnni"};  // in rising order
    while (words >> word) {
      const auto at = std::find(known.begin(), known.end(), word);
      const int found = at == known.end() ? 0 : static_cast<int>(at - known.begin()) + 1;
      if (found > rank) {
        rank = found;
        best = word;
      }
    }
    return {rank > 0 ? Grade::kGood : Grade::kPoor, "CPU",
            fmt::format("{} cores, {}", ::sysconf(_SC_NPROCESSORS_ONLN), best)};
  }
  return {Grade::kPoor, "CPU", "/proc/cpuinfo does not tell"};
}

Finding check_shared_memory() {
  const auto loop = net::EventLoop::create("doctor");
  auto engine = transfer::TransferEngine::create({}, *loop);
  if (!engine.ok()) return {Grade::kBad, "transfer", engine.status().message()};
  auto memory = (*engine)->allocate_shared(1 << 20);
  if (!memory.ok()) return {Grade::kPoor, "shm", memory.status().message() + "; blocks will go over tcp"};
  (*engine)->free_shared(*memory);
  return {Grade::kGood, "shm", "blocks go from memory to memory on this host"};
}

Finding check_cross_memory() {
  int from = 42;
  int to = 0;
  const iovec local = {&to, sizeof to};
  const iovec remote = {&from, sizeof from};
  if (::process_vm_readv(::getpid(), &local, 1, &remote, 1, 0) == sizeof to && to == from) {
    return {Grade::kGood, "process_vm_readv", "allowed"};
  }
  return {Grade::kPoor, "process_vm_readv",
          fmt::format("{}: memory outside the pools goes over tcp", std::strerror(errno))};
}

Finding check_rdma() {
  transfer::SegmentTable segments(1);
  const transfer::PoolSet pools;
  const auto host = transfer::RdmaHost::open("auto", segments, pools);
  if (!host.ok()) return {Grade::kPoor, "RDMA", host.status().message()};
  if (*host == nullptr) return {Grade::kGood, "RDMA", "no device: blocks go over tcp between hosts"};
  std::vector<std::string> ports;
  bool all_up = true;
  for (const transfer::RdmaHost::Port& port : (*host)->ports()) {
    const bool up = port.state().address.up;
    ports.push_back(fmt::format("{} port {} {}", port.device->name(), port.state().number, up ? "up" : "down"));
    all_up = all_up && up;
  }
  return {all_up ? Grade::kGood : Grade::kPoor, "RDMA", fmt::format("{}", fmt::join(ports, ", "))};
}

Finding check_gpus() {
  const auto driver = transfer::load_cuda_driver();
  if (!driver.ok()) return {Grade::kGood, "GPU memory", "not used: " + driver.status().message()};
  int version = 0;
  int count = 0;
  static_cast<void>((*driver)->DriverGetVersion(&version));
  static_cast<void>((*driver)->DeviceGetCount(&count));
  std::vector<std::string> names;
  for (int device = 0; device < count; ++device) {
    std::array<char, 256> name{};
    static_cast<void>((*driver)->DeviceGetName(name.data(), static_cast<int>(name.size()), device));
    names.emplace_back(name.data());
  }
  return {Grade::kGood, "GPU memory",
          fmt::format("{} (driver of CUDA {}.{})", fmt::join(names, ", "), version / 1000, version % 1000 / 10)};
}

}  // namespace

int run_doctor(const Invocation& invocation) {
  const std::vector<Finding> findings = {check_port(invocation.config.text("doctor.http")),
                                         check_memory(),
                                         check_files(),
                                         check_cpu(),
                                         check_model(invocation),
                                         check_shared_memory(),
                                         check_cross_memory(),
                                         check_rdma(),
                                         check_gpus()};
  bool bad = false;
  for (const Finding& finding : findings) {
    const std::array<std::string_view, 3> marks = {"ok  ", "poor", "BAD "};
    fmt::print("{}  {:<17} {}\n", marks[static_cast<std::size_t>(finding.grade)], finding.what, finding.detail);
    bad = bad || finding.grade == Grade::kBad;
  }
  fmt::print("{}\n", bad ? "A cluster cannot run here yet." : "A cluster can run here: mooncake up");
  return bad ? kExitFailure : kExitOk;
}

}  // namespace mooncake::cli
