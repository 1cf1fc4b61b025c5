#include "transfer/topology/topology_json.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <nlohmann/json.hpp>

namespace mooncake::transfer {
namespace {

using Json = nlohmann::json;

constexpr std::size_t kShownBytesMax = 80;

/// Follows the parser's events, keeps where it is, and stops it at the first thing that does not belong there. A tree
/// of values would have forgotten that a location was there twice.
class Reader {
 public:
  explicit Reader(std::string_view text) : text_(text) {}

  Result<Topology> finish() && {
    if (!status_.ok()) return status_;
    if (topology_.locations.empty()) return wrong("it names no memory location");
    return std::move(topology_);
  }

  // The events, as nlohmann's SAX parser calls them. False stops it.
  bool null() { return unexpected("null"); }
  bool boolean(bool /*value*/) { return unexpected("a boolean"); }
  bool number_integer(Json::number_integer_t /*value*/) { return unexpected("a number"); }
  bool number_unsigned(Json::number_unsigned_t /*value*/) { return unexpected("a number"); }
  bool number_float(Json::number_float_t /*value*/, const std::string& /*text*/) { return unexpected("a number"); }
  bool binary(Json::binary_t& /*value*/) { return unexpected("bytes"); }
  bool string(std::string& value) { return at_ == At::kDevices ? add_device(value) : unexpected("a string"); }

  bool start_object(std::size_t /*size*/) {
    if (at_ != At::kOutside) return unexpected("an object");
    at_ = At::kLocations;
    return true;
  }
  bool end_object() {
    at_ = At::kOutside;
    return true;
  }
  bool key(std::string& location) { return add_location(location); }

  bool start_array(std::size_t /*size*/) {
    if (at_ == At::kLocations) {
      at_ = At::kClasses;
      return true;
    }
    if (at_ != At::kClasses) return unexpected("an array");
    if (classes_ == 2) return refuse(fmt::format("{}: there are more than two classes", where()));
    ++classes_;
    at_ = At::kDevices;
    return true;
  }
  bool end_array() {
    if (at_ == At::kDevices) {
      at_ = At::kClasses;
      return true;
    }
    at_ = At::kLocations;
    if (classes_ != 2) return refuse(fmt::format("{}: there are {} classes and not two", where(), classes_));
    return true;
  }

  bool parse_error(std::size_t position, const std::string& /*token*/, const Json::exception& /*error*/) {
    const std::string_view before = text_.substr(0, position > 0 ? position - 1 : 0);
    return refuse(fmt::format("line {}, column {}: this is not JSON", 1 + std::ranges::count(before, '\n'),
                              before.size() - (before.rfind('\n') + 1) + 1));
  }

 private:
  enum class At : std::uint8_t { kOutside, kLocations, kClasses, kDevices };

  static Status wrong(std::string_view what) {
    return {Code::kInvalidArgument, fmt::format("not a topology: {}", what)};
  }
  bool refuse(std::string_view what) {
    status_ = wrong(what);
    return false;
  }
  bool unexpected(std::string_view what) {
    static constexpr std::string_view kExpected[] = {R"(an object {"cpu:0": [[PREFERRED...], [SECONDARY...]], ...})",
                                                     "two arrays, [[PREFERRED...], [SECONDARY...]]",
                                                     "an array of names", "a device's name"};
    return refuse(fmt::format("{}: {} where {} is expected", where(), what, kExpected[static_cast<int>(at_)]));
  }

  /// "cpu:0", "cpu:0, preferred 3".
  [[nodiscard]] std::string where() const {
    if (at_ == At::kOutside || topology_.locations.empty()) return "at the start";
    const LocationDevices& row = topology_.locations.back();
    if (at_ != At::kDevices) return row.location;
    const bool first = classes_ == 1;
    return fmt::format("{}, {} {}", row.location, first ? "preferred" : "secondary",
                       (first ? row.preferred : row.secondary).size() + 1);
  }

  bool add_location(const std::string& location) {
    if (!is_memory_location(location)) {
      return refuse(fmt::format("\"{:.{}}\" is no memory location: expected cpu:N, cuda:N or file:NAME", location,
                                kShownBytesMax));
    }
    if (topology_.find(location) != nullptr) return refuse(fmt::format("{} is there twice", location));
    if (topology_.locations.size() == kLocationsMax) {
      return refuse(fmt::format("{}: there are more than {} locations", location, kLocationsMax));
    }
    topology_.locations.push_back({.location = location, .preferred = {}, .secondary = {}});
    classes_ = 0;
    return true;
  }

  bool add_device(std::string& name) {
    LocationDevices& row = topology_.locations.back();
    if (!is_device_name(name)) {
      return refuse(
          fmt::format("{}: \"{:.{}}\" is no device's name: expected up to {} printable characters without "
                      "spaces, quotes and backslashes",
                      where(), name, kShownBytesMax, kDeviceNameBytesMax));
    }
    const auto has = [&](const std::vector<std::string>& names) {
      return std::ranges::find(names, name) != names.end();
    };
    if (has(row.preferred) || has(row.secondary)) return refuse(fmt::format("{}: {} is there twice", where(), name));
    if (row.preferred.size() + row.secondary.size() == kLocationDevicesMax) {
      return refuse(fmt::format("{}: there are more than {} devices", where(), kLocationDevicesMax));
    }
    (classes_ == 1 ? row.preferred : row.secondary).push_back(std::move(name));
    return true;
  }

  std::string_view text_;
  Topology topology_;
  Status status_;
  At at_ = At::kOutside;
  int classes_ = 0;  ///< of the last location, begun
};

std::string names(const std::vector<std::string>& devices) {
  return devices.empty() ? "[]" : fmt::format("[\"{}\"]", fmt::join(devices, "\", \""));
}

}  // namespace

Result<Topology> parse_topology(std::string_view json) {
  if (json.size() > kTopologyBytesMax) {
    return Status(Code::kInvalidArgument,
                  fmt::format("not a topology: {} bytes, at most {} are read", json.size(), kTopologyBytesMax));
  }
  Reader reader(json);
  (void)Json::sax_parse(json, &reader);  // what it returns is in the reader's status
  return std::move(reader).finish();
}

std::string format_topology(const Topology& topology) {
  std::string text = "{";
  std::string_view separator = "\n";
  for (const LocationDevices& row : topology.locations) {
    fmt::format_to(std::back_inserter(text), "{}  \"{}\": [{}, {}]", separator, row.location, names(row.preferred),
                   names(row.secondary));
    separator = ",\n";
  }
  return text + "\n}\n";
}

}  // namespace mooncake::transfer
