#include "cli/bench_transfer/per_transfer.h"

#include <fcntl.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include "base/bytes.h"

namespace mooncake::cli {
namespace {

constexpr std::uint64_t kBlockBytes = 1 << 20;
/// Transfers at once, and the blocks that each goes through.
constexpr std::uint32_t kThreads = 4;
constexpr std::uint32_t kBlocks = 8;
constexpr std::uint64_t kMemoryBytes = kThreads * kBlocks * kBlockBytes;

struct Head {
  std::uint64_t offset = 0;  ///< in the server's memory
  std::uint64_t bytes = 0;
};

Status failed(std::string_view what) {
  return {Code::kUnavailable, "connection per transfer: " + std::string(what) + ": " + transfer::errno_text(errno)};
}

bool receive_all(int fd, ByteSpan into) {
  while (!into.empty()) {
    const ssize_t got = ::recv(fd, into.data(), into.size(), 0);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    into = into.subspan(static_cast<std::size_t>(got));
  }
  return true;
}

bool send_all(int fd, ConstByteSpan bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent <= 0) return false;
    bytes = bytes.subspan(static_cast<std::size_t>(sent));
  }
  return true;
}

void answer(int fd, ConstByteSpan memory) {
  Head head;
  if (!receive_all(fd, std::as_writable_bytes(std::span(&head, 1)))) return;
  if (head.offset > memory.size() || head.bytes > memory.size() - head.offset) return;
  static_cast<void>(send_all(fd, memory.subspan(head.offset, head.bytes)));  // the peer notices what is missing
}

void accept_for_ever(int listener, ConstByteSpan memory) {
  for (;;) {
    const UniqueFd fd(::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC));
    if (!fd.valid() && errno != EINTR && errno != ECONNABORTED) return;
    if (fd.valid()) answer(fd.get(), memory);
  }
}

Status transfer_once(const transfer::Endpoint& server, std::uint64_t offset, ByteSpan into) {
  const UniqueFd fd(::socket(server.address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return failed("socket");
  transfer::set_no_delay(fd.get());
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&server.address), server.size) != 0)
    return failed("connect");
  const Head head{.offset = offset, .bytes = into.size()};
  if (!send_all(fd.get(), std::as_bytes(std::span(&head, 1)))) return failed("send");
  return receive_all(fd.get(), into) ? Status() : failed("recv");
}

struct Reader {
  std::vector<double> latency_us;
  Status status;

  void run(const transfer::Endpoint& server, std::uint64_t offset, ByteSpan memory, Instant end) {
    const SteadyClock clock;
    Instant now = clock.now();
    do {  // at least once, however late this thread has been started
      const std::uint64_t at = latency_us.size() % kBlocks * kBlockBytes;
      status = transfer_once(server, offset + at, memory.subspan(at, kBlockBytes));
      const Instant done = clock.now();
      latency_us.push_back(std::chrono::duration<double, std::micro>(done - now).count());
      now = done;
    } while (now < end && status.ok());
  }
};

}  // namespace

void serve_per_transfer(int listener) {
  ::fcntl(listener, F_SETFL, ::fcntl(listener, F_GETFL) & ~O_NONBLOCK);
  const std::vector<std::byte> memory(kMemoryBytes, std::byte{1});
  std::vector<std::jthread> threads;
  for (std::uint32_t i = 0; i < kThreads; ++i) threads.emplace_back([&] { accept_for_ever(listener, memory); });
}

Result<LoadResult> run_per_transfer(const transfer::Endpoint& server, Nanos duration) {
  std::vector<std::byte> memory(kMemoryBytes);
  std::vector<Reader> readers(kThreads);
  const SteadyClock clock;
  const Instant begin = clock.now();
  {
    std::vector<std::jthread> threads;
    for (std::uint32_t i = 0; i < kThreads; ++i) {
      const std::uint64_t offset = i * kBlocks * kBlockBytes;
      const ByteSpan own = ByteSpan(memory).subspan(offset, kBlocks * kBlockBytes);
      threads.emplace_back([&, i, offset, own] { readers[i].run(server, offset, own, begin + duration); });
    }
  }
  LoadResult result;
  result.seconds = std::chrono::duration<double>(clock.now() - begin).count();
  for (const Reader& reader : readers) {
    MC_RETURN_IF_ERROR(reader.status);
    result.latency_us.insert(result.latency_us.end(), reader.latency_us.begin(), reader.latency_us.end());
  }
  result.operations = result.latency_us.size();
  result.bytes = result.operations * kBlockBytes;
  return result;
}

}  // namespace mooncake::cli
