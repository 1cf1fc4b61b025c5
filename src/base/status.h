// Status and Result<T>: the one error type.
//
// A Status is a typed code and a message that says what was expected, what came, and what to do. Nothing of ours throws
// across a module: every function that can fail for a reason outside this process returns one of these two. The codes
// are listed here once and mapped once to HTTP (serve/) and to the wire (transfer/), by their numeric value.
//
// Value types; thread-compatible.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/check.h"

namespace mooncake {

/// What went wrong, as far as a caller can act on it. The numbers are part of the wire protocol: never reuse one.
enum class Code : std::uint8_t {
  kOk = 0,
  kInvalidArgument = 1,    ///< the caller passed nonsense; repeating the call cannot help
  kNotFound = 2,           ///< a miss: no such key, name, file or request
  kAlreadyExists = 3,      ///< the thing to be created is there already
  kExhausted = 4,          ///< a named limit is reached; back off, then retry
  kUnavailable = 5,        ///< the service cannot be reached or is not ready; retry elsewhere or later
  kDeadlineExceeded = 6,   ///< not done in time; it may or may not have happened
  kCancelled = 7,          ///< the caller (or its owner) gave up
  kPeerLost = 8,           ///< the peer's epoch ended: it crashed, restarted or was cut off
  kStale = 9,              ///< the handle names an older generation of a segment, sequence or epoch
  kPermissionDenied = 10,  ///< the right for this access was not granted
  kOutOfRange = 11,        ///< outside the segment, context or table
  kCorrupt = 12,           ///< bytes fail their checksum or header check
  kUnsupported = 13,       ///< understood, and not offered by this build, engine or peer
  kInternal = 14,          ///< a fault of ours that was contained; the message is for the bug report
};

/// Lower-case snake name of `code`, for logs and JSON ("peer_lost"). Never null.
std::string_view code_name(Code code);

/// The code with this number on the wire; kInternal for a number that this version does not know.
Code code_from_wire(std::uint32_t number);

class [[nodiscard]] Status {
 public:
  /// Success.
  Status() = default;
  /// A failure. `code` must not be kOk.
  Status(Code code, std::string message) : code_(code), message_(std::move(message)) { CHECK(code != Code::kOk); }

  static Status ok_status() { return {}; }

  [[nodiscard]] bool ok() const { return code_ == Code::kOk; }
  [[nodiscard]] Code code() const { return code_; }
  /// For people; empty on success.
  [[nodiscard]] const std::string& message() const { return message_; }
  /// "peer_lost: node-1 closed the connection", or "ok".
  [[nodiscard]] std::string to_string() const;
  /// The same failure with `context` in front of its message ("fetch block 3: ..."). No-op on success.
  [[nodiscard]] Status annotate(std::string_view context) const;

 private:
  Code code_ = Code::kOk;
  std::string message_;
};

/// A T, or the Status that says why there is none.
template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : value_(std::move(value)) {}  // NOLINT: implicit by design, as in `return x;`
  Result(Status status) : status_(std::move(status)) { CHECK(!status_.ok()); }  // NOLINT: as in `return status;`

  [[nodiscard]] bool ok() const { return value_.has_value(); }
  [[nodiscard]] const Status& status() const { return status_; }

  /// The value. CHECK-fails on an error: test ok() first.
  T& value() & {
    CHECK(ok());
    return *value_;
  }
  const T& value() const& {
    CHECK(ok());
    return *value_;
  }
  T&& value() && {
    CHECK(ok());
    return std::move(*value_);
  }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

 private:
  std::optional<T> value_;
  Status status_;
};

}  // namespace mooncake

/// Returns from the calling function when `expression` (a Status) is a failure.
#define MC_RETURN_IF_ERROR(expression)                                                  \
  do {                                                                                  \
    if (::mooncake::Status mc_status = (expression); !mc_status.ok()) return mc_status; \
  } while (false)

#define MC_CONCAT_INNER(a, b) a##b
#define MC_CONCAT(a, b) MC_CONCAT_INNER(a, b)
// NOLINTBEGIN(bugprone-macro-parentheses): `result` is a name, and `target` may be a declaration.
#define MC_ASSIGN_OR_RETURN_INNER(result, target, expression) \
  auto result = (expression);                                 \
  if (!result.ok()) return result.status();                   \
  target = std::move(result).value()
// NOLINTEND(bugprone-macro-parentheses)

/// `MC_ASSIGN_OR_RETURN(auto x, f());` assigns the value of a Result, or returns its Status from the calling function.
#define MC_ASSIGN_OR_RETURN(target, expression) \
  MC_ASSIGN_OR_RETURN_INNER(MC_CONCAT(mc_result_, __LINE__), target, expression)
