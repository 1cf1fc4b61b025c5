#include "base/status.h"

#include <array>

namespace mooncake {
namespace {

constexpr std::array<std::string_view, 15> kNames = {"ok",
                                                     "invalid_argument",
                                                     "not_found",
                                                     "already_exists",
                                                     "exhausted",
                                                     "unavailable",
                                                     "deadline_exceeded",
                                                     "cancelled",
                                                     "peer_lost",
                                                     "stale",
                                                     "permission_denied",
                                                     "out_of_range",
                                                     "corrupt",
                                                     "unsupported",
                                                     "internal"};

}  // namespace

std::string_view code_name(Code code) {
  const auto index = static_cast<std::size_t>(code);
  CHECK(index < kNames.size());
  return kNames[index];
}

Code code_from_wire(std::uint32_t number) {
  return number < kNames.size() ? static_cast<Code>(number) : Code::kInternal;
}

std::string Status::to_string() const {
  std::string text(code_name(code_));
  if (!message_.empty()) text.append(": ").append(message_);
  return text;
}

Status Status::annotate(std::string_view context) const {
  if (ok()) return {};
  return {code_, std::string(context) + ": " + message_};
}

}  // namespace mooncake
