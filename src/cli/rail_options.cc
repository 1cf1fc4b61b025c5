#include "cli/rail_options.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <vector>

namespace mooncake::cli {
namespace {

/// "a,b" as a and b; nothing as no items.
std::vector<std::string> split_list(std::string_view text) {
  std::vector<std::string> items;
  while (!text.empty()) {
    const std::size_t comma = std::min(text.find(','), text.size());
    items.emplace_back(text.substr(0, comma));
    text.remove_prefix(std::min(comma + 1, text.size()));
  }
  return items;
}

}  // namespace

void set_rails(const Config& options, std::string_view section, transfer::TransferConfig& config) {
  config.rails = split_list(options.text(fmt::format("{}.rails", section)));
  config.topology = options.text(fmt::format("{}.topology", section));
}

}  // namespace mooncake::cli
