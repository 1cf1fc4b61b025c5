#include "cli/bench_transfer/child_output.h"

#include <fmt/core.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>

#include "transfer/fd.h"

namespace mooncake::cli {
namespace {

/// iperf3 prints some 10 KiB for a second of four streams.
constexpr std::size_t kTextBytesMax = 1u << 20;

}  // namespace

Result<ChildOutput> ChildOutput::create() {
  UniqueFd fd(::memfd_create("mooncake-output", MFD_CLOEXEC));
  if (!fd.valid()) return Status(Code::kExhausted, "memfd_create: " + transfer::errno_text(errno));
  return ChildOutput(std::move(fd));
}

std::string ChildOutput::path() const { return fmt::format("/proc/self/fd/{}", fd_.get()); }

std::string ChildOutput::text() const {
  std::string text(kTextBytesMax, '\0');
  const ssize_t got = ::pread(fd_.get(), text.data(), text.size(), 0);
  text.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
  return text;
}

}  // namespace mooncake::cli
