// Session: what both sides of one connection derive from a key that they share and from their two hellos. Pure.
//
//   transcript = SHA-256("mooncake hello 1" | u32 size | dialer's hello | u32 size | accepter's hello)
//   secret     = HMAC(transcript, key)                          HKDF-Extract (RFC 5869), the transcript as salt
//   output     = HMAC(secret, label | 0x01), ...                HKDF-Expand
//
// Each hello holds a random nonce, so nothing here is the same on two connections. The labels differ by side: what one
// side proves or sends is never what it would accept.
#pragma once

#include <string_view>

#include "transfer/auth/crypto.h"
#include "transfer/auth/frame_mac.h"

namespace mooncake::transfer {

struct Session {
  struct Side {
    Digest proof;  ///< what this side sends to show that it holds the key
    FrameKey key;  ///< of the MACs of the frames that it sends
  };
  Side dialer;
  Side accepter;
};

/// The hellos as they are on the wire, without their headers.
Session derive_session(ConstByteSpan key, std::string_view dialer_hello, std::string_view accepter_hello);

}  // namespace mooncake::transfer
