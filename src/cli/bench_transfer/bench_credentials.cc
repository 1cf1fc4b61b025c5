#include "cli/bench_transfer/bench_credentials.h"

#include <fmt/core.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "base/bytes.h"
#include "transfer/auth/crypto.h"
#include "transfer/auth/throwaway_authority.h"
#include "transfer/fd.h"

namespace mooncake::cli {
namespace {

constexpr std::size_t kSecretBytes = 32;

std::string path_of(const UniqueFd& fd) { return fmt::format("/proc/{}/fd/{}", ::getpid(), fd.get()); }

}  // namespace

Result<BenchCredentials> BenchCredentials::create() {
  BenchCredentials made;
  MC_ASSIGN_OR_RETURN(made.secret_, hold(to_hex(transfer::random_bytes<kSecretBytes>())));
  MC_ASSIGN_OR_RETURN(const auto authority, transfer::ThrowawayAuthority::create("mooncake bench transfer"));
  MC_ASSIGN_OR_RETURN(const auto issued,
                      authority.issue("either end", {.names = "DNS:transfer-serve,DNS:transfer-client"}));
  MC_ASSIGN_OR_RETURN(made.certificate_, hold(issued.certificate));
  MC_ASSIGN_OR_RETURN(made.key_, hold(issued.key));
  MC_ASSIGN_OR_RETURN(made.authority_, hold(authority.certificate()));
  return made;
}

/// A memfd is born with mode 0777, which read_secret_file() would refuse.
Result<UniqueFd> BenchCredentials::hold(std::string_view text) {
  UniqueFd fd(::memfd_create("mooncake-bench", MFD_CLOEXEC));
  if (!fd.valid() || ::fchmod(fd.get(), S_IRUSR | S_IWUSR) != 0 ||
      ::write(fd.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size())) {
    return Status(Code::kExhausted, "memfd_create: " + transfer::errno_text(errno));
  }
  return fd;
}

transfer::AuthConfig BenchCredentials::mac() const {
  return {.mode = transfer::AuthMode::kMac, .secret_file = path_of(secret_)};
}

transfer::AuthConfig BenchCredentials::tls() const {
  return {.mode = transfer::AuthMode::kTls,
          .certificate_file = path_of(certificate_),
          .key_file = path_of(key_),
          .authority_file = path_of(authority_)};
}

}  // namespace mooncake::cli
