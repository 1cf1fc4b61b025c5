// For tests: how much longer things take here. Sanitizers slow our code down several times.
#pragma once

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define MOONCAKE_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define MOONCAKE_SANITIZED 1
#endif
#endif

namespace mooncake::transfer {

#ifdef MOONCAKE_SANITIZED
inline constexpr bool kSanitized = true;
#else
inline constexpr bool kSanitized = false;
#endif
/// Bounds on times are multiplied by this, and amounts of work divided.
inline constexpr int kSlowdown = kSanitized ? 8 : 1;

}  // namespace mooncake::transfer
