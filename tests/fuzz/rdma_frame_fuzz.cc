// What an RDMA transport parses of its peer's frames: none may crash, and what is accepted must mean the same when it
// is written again.
#include <cstdint>
#include <string>

#include "base/check.h"
#include "transfer/rdma/rdma_frame.h"

using namespace mooncake;            // NOLINT: a program of one function
using namespace mooncake::transfer;  // NOLINT

namespace {

template <typename Value, typename Encode, typename Decode>
void try_one(const Result<Value>& value, Encode encode, Decode decode) {
  if (!value.ok()) return;
  const std::string again = encode(*value);
  const auto reread = decode(as_bytes(again));
  CHECK(reread.ok() && *reread == *value);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const ConstByteSpan bytes(reinterpret_cast<const std::byte*>(data), size);
  try_one(decode_rdma_ports(bytes), encode_rdma_ports, decode_rdma_ports);
  try_one(decode_rdma_open(bytes), encode_rdma_open, decode_rdma_open);
  try_one(decode_rdma_end(bytes), encode_rdma_end, decode_rdma_end);
  try_one(decode_rdma_grant(bytes), encode_rdma_grant, decode_rdma_grant);
  try_one(decode_rdma_granted(bytes), encode_rdma_granted, decode_rdma_granted);
  if (size < 4) return 0;
  const auto argument = load_le<std::uint32_t>(bytes.data());
  if (const auto frame = decode_rdma_frame(argument); frame.ok()) {
    const Status status = decode_rdma_status(argument, {reinterpret_cast<const char*>(data), size});
    CHECK(decode_rdma_frame(rdma_argument(*frame, status.code())).ok());
  }
  return 0;
}
