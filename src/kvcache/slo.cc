#include "kvcache/slo.h"

#include <algorithm>
#include <functional>
#include <numeric>
#include <vector>

namespace mooncake::kvcache {

Nanos request_tbt(std::span<const Nanos> gaps) {
  if (gaps.empty()) return Nanos{0};
  std::vector<Nanos> longest(gaps.begin(), gaps.end());
  const auto count = static_cast<std::ptrdiff_t>((gaps.size() + 9) / 10);
  std::nth_element(longest.begin(), longest.begin() + (count - 1), longest.end(), std::greater<>());
  return std::accumulate(longest.begin(), longest.begin() + count, Nanos{0}) / count;
}

}  // namespace mooncake::kvcache
