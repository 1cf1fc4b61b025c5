// FrameMac: the MAC of the frames of one direction of one connection. GMAC: AES-256-GCM without text, 10 GB/s and 0.3
// us a frame; its nonce is the frame's number, so that a frame fits only in its place: see docs/adr/0010-frame-macs.md.
//
//   nonce   4 bytes of the key, u64 number of the frame, from 0
//   text    the header (32 bytes), then what of the payload is covered
//
// Thread-compatible.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>

#include "base/bytes.h"

struct evp_cipher_ctx_st;

namespace mooncake::transfer {

inline constexpr std::size_t kMacBytes = 16;
using Mac = std::array<std::byte, kMacBytes>;

/// The key of AES-256, and 4 bytes that every nonce begins with.
using FrameKey = std::array<std::byte, 36>;

class FrameMac {
 public:
  explicit FrameMac(const FrameKey& key);

  /// The MAC of frame `number`, which covers both pieces, one after the other, as one text. Never let two texts of one
  /// number out: whoever has the MACs of both can forge.
  Mac compute(std::uint64_t number, ConstByteSpan head, ConstByteSpan payload);

 private:
  struct Free {
    void operator()(evp_cipher_ctx_st* context) const;
  };
  std::unique_ptr<evp_cipher_ctx_st, Free> context_;
  std::array<std::byte, 12> nonce_{};
};

}  // namespace mooncake::transfer
