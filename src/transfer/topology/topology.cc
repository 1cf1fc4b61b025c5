#include "transfer/topology/topology.h"

#include <algorithm>

namespace mooncake::transfer {
namespace {

constexpr std::size_t kIndexDigitsMax = 4;

bool is_index(std::string_view text) {
  const bool digits = std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
  return digits && !text.empty() && text.size() <= kIndexDigitsMax && (text[0] != '0' || text.size() == 1);
}

}  // namespace

const LocationDevices* Topology::find(std::string_view location) const {
  const auto found = std::ranges::find(locations, location, &LocationDevices::location);
  return found == locations.end() ? nullptr : &*found;
}

bool is_device_name(std::string_view name) {
  return !name.empty() && name.size() <= kDeviceNameBytesMax &&
         std::ranges::all_of(name, [](char c) { return c > ' ' && c <= '~' && c != '"' && c != '\\'; });
}

bool is_memory_location(std::string_view location) {
  const std::size_t colon = location.find(':');
  if (colon == std::string_view::npos) return false;
  const std::string_view kind = location.substr(0, colon);
  const std::string_view which = location.substr(colon + 1);
  if (kind == "cpu" || kind == "cuda") return is_index(which);
  return kind == "file" && is_device_name(which);
}

}  // namespace mooncake::transfer
