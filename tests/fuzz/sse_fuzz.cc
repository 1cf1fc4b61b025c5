// Server-sent events mean the same in whatever pieces they arrive; and the ready line of a process may be anything.
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "cli/sse_reader.h"
#include "cli/up/cluster_file.h"

using namespace mooncake::cli;  // NOLINT: a program of one function

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const std::vector<std::string> whole = SseReader().add(bytes);
  SseReader reader;
  std::vector<std::string> pieces;
  for (const char c : bytes) {
    for (std::string& event : reader.add({&c, 1})) pieces.push_back(std::move(event));
  }
  CHECK(whole == pieces);
  if (const auto ready = parse_ready_line(bytes); ready.ok()) CHECK(!ready->endpoint.empty());
  return 0;
}
