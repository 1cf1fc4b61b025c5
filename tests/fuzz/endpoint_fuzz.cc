// The endpoints that a peer names in its hello: what is accepted is an address, and its canonical text means the same.
#include <cstdint>
#include <string>

#include "base/check.h"
#include "transfer/fd.h"

using namespace mooncake;            // NOLINT: a program of one function
using namespace mooncake::transfer;  // NOLINT

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto endpoint = parse_endpoint(text);
  if (!endpoint.ok()) return 0;
  CHECK(text.find('\0') == std::string_view::npos);
  const std::string canonical = format_endpoint(*endpoint);
  const auto again = parse_endpoint(canonical);
  CHECK(again.ok() && format_endpoint(*again) == canonical);
  CHECK(is_loopback(*again) == is_loopback(*endpoint) && is_any_address(*again) == is_any_address(*endpoint));
  CHECK(format_endpoint(with_port(*endpoint, 0)).ends_with(":0"));
  return 0;
}
