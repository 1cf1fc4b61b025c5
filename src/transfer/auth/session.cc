#include "transfer/auth/session.h"

#include <algorithm>

namespace mooncake::transfer {
namespace {

std::array<std::byte, 4> size_of(std::string_view text) {
  std::array<std::byte, 4> bytes;
  store_le(bytes.data(), static_cast<std::uint32_t>(text.size()));
  return bytes;
}

/// HKDF-Expand of at most two blocks.
template <std::size_t N>
std::array<std::byte, N> expand(KeyedHash& secret, std::string_view label) {
  static_assert(N <= 2 * sizeof(Digest));
  const std::byte counter[2] = {std::byte{1}, std::byte{2}};
  const Digest first = secret({as_bytes(label), ConstByteSpan(counter).first(1)});
  std::array<std::byte, N> out;
  std::copy_n(first.begin(), std::min(N, first.size()), out.begin());
  if (N > first.size()) {
    const Digest second = secret({first, as_bytes(label), ConstByteSpan(counter).subspan(1)});
    std::copy_n(second.begin(), N - std::min(N, first.size()), out.begin() + std::min(N, first.size()));
  }
  return out;
}

}  // namespace

Session derive_session(ConstByteSpan key, std::string_view dialer_hello, std::string_view accepter_hello) {
  const Digest transcript = sha256({as_bytes("mooncake hello 1"), size_of(dialer_hello), as_bytes(dialer_hello),
                                    size_of(accepter_hello), as_bytes(accepter_hello)});
  KeyedHash secret(KeyedHash(transcript)({key}));
  return {
      .dialer = {.proof = expand<32>(secret, "proof of the dialer"), .key = expand<36>(secret, "frames of the dialer")},
      .accepter = {.proof = expand<32>(secret, "proof of the accepter"),
                   .key = expand<36>(secret, "frames of the accepter")}};
}

}  // namespace mooncake::transfer
