// Every parser of the transfer engine's wire format on the same bytes: none may crash, and what is accepted must mean
// the same when it is written again.
#include <array>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>

#include "base/check.h"
#include "transfer/frame.h"

using namespace mooncake;            // NOLINT: a program of one function
using namespace mooncake::transfer;  // NOLINT

namespace {

void try_header(ConstByteSpan bytes) {
  if (bytes.size() < kHeaderBytes) return;
  const auto header = decode_header(bytes.first<kHeaderBytes>());
  if (!header.ok()) return;
  CHECK(header->length <= payload_bytes_max(header->kind));
  const HeaderBytes again = encode_header(*header);
  const auto reread = decode_header(again);
  CHECK(reread.ok() && *reread == *header);
}

void try_hello(ConstByteSpan bytes) {
  const auto hello = decode_hello(bytes);
  if (!hello.ok()) return;
  (void)common_version(*hello);
  const std::string again = encode_hello(*hello);
  const auto reread = decode_hello(as_bytes(again));
  CHECK(reread.ok() && *reread == *hello);
}

void try_ranges(ConstByteSpan bytes) {
  if (const auto range = decode_range(bytes); range.ok()) {
    std::array<std::byte, kRangeBytesMax> again{};
    const auto reread = decode_range(encode_range(*range, again));
    CHECK(reread.ok() && *reread == *range);
  }
  if (const auto source = decode_source(bytes); source.ok()) {
    std::array<std::byte, kSourceBytes> again{};
    encode_source(*source, again);
    const auto reread = decode_source(again);
    CHECK(reread.ok() && *reread == *source);
  }
  if (const auto pull = decode_pull(bytes); pull.ok()) CHECK(pull->target.length == pull->source.length);
  (void)decode_pair(bytes);
  (void)decode_count(bytes);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const ConstByteSpan bytes(reinterpret_cast<const std::byte*>(data), size);
  try_header(bytes);
  try_hello(bytes);
  try_ranges(bytes);
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  (void)decode_status(size > 0 ? data[0] : 0, text);
  return 0;
}
