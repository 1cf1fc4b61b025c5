#include "base/config.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <fstream>
#include <iterator>
#include <numeric>
#include <optional>
#include <sstream>
#include <system_error>

#define TOML_EXCEPTIONS 0
#include <toml++/toml.h>

#include "base/check.h"

namespace mooncake {
namespace {

std::string expectation(const ConfigOption& option) {
  const bool bounded_below = option.min != std::numeric_limits<double>::lowest();
  const bool bounded_above = option.max != std::numeric_limits<double>::max();
  std::string range;
  if (bounded_below && bounded_above) {
    range = fmt::format(" from {:.15g} to {:.15g}", option.min, option.max);
  } else if (bounded_below) {
    range = fmt::format(" of at least {:.15g}", option.min);
  } else if (bounded_above) {
    range = fmt::format(" of at most {:.15g}", option.max);
  }
  switch (option.type) {
    case ConfigType::kInteger:
      return "an integer" + range;
    case ConfigType::kNumber:
      return "a number" + range;
    case ConfigType::kBoolean:
      return "true or false";
    case ConfigType::kString:
      break;
  }
  if (option.choices.empty()) return "a string";
  return fmt::format("one of {}", fmt::join(option.choices, ", "));
}

Status mismatch(const ConfigOption& option, std::string_view got) {
  return {Code::kInvalidArgument, fmt::format("{}: expected {}, got {}", option.key, expectation(option), got)};
}

template <typename T>
std::optional<T> parse_whole(std::string_view text) {
  T value{};
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (failure != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

bool in_range(const ConfigOption& option, double value) { return value >= option.min && value <= option.max; }

/// The table and what has been resolved so far; one instance a load().
class Loader {
 public:
  Loader(std::span<const ConfigOption> table, std::map<std::string, ConfigValue, std::less<>>& values)
      : table_(table), values_(values) {}

  Status defaults() {
    for (const ConfigOption& option : table_) {
      MC_RETURN_IF_ERROR(set(option, option.default_value, ConfigLayer::kDefault, "default"));
    }
    return {};
  }

  Status file(const std::string& path) {
    MC_ASSIGN_OR_RETURN(const std::string text, read_file(path));
    const toml::parse_result parsed = toml::parse(text, path);
    if (!parsed) {
      return {Code::kInvalidArgument, fmt::format("{}:{}: not valid TOML: {}", path, parsed.error().source().begin.line,
                                                  parsed.error().description())};
    }
    return walk(parsed.table(), "", path);
  }

  Status environment(const std::map<std::string, std::string>& variables) {
    std::vector<std::string> names;
    for (const ConfigOption& option : table_) names.push_back(config_environment_name(option.key));
    for (const auto& [name, text] : variables) {
      const auto known = std::ranges::find(names, name);
      if (known == names.end()) {
        const std::vector<std::string_view> candidates(names.begin(), names.end());
        return unknown(fmt::format("unknown environment variable {}", name), nearest_word(name, candidates));
      }
      const ConfigOption& option = table_[static_cast<std::size_t>(known - names.begin())];
      MC_RETURN_IF_ERROR(set(option, text, ConfigLayer::kEnvironment, name));
    }
    return {};
  }

  Status flags(const std::map<std::string, std::string>& flags) {
    for (const auto& [key, text] : flags) {
      const ConfigOption* option = find(key);
      if (option == nullptr) return unknown(fmt::format("unknown option {}", key), nearest_key(key));
      const std::string_view origin = option->flag.empty() ? option->key : option->flag;
      MC_RETURN_IF_ERROR(set(*option, text, ConfigLayer::kFlag, std::string(origin)));
    }
    return {};
  }

 private:
  static Result<std::string> read_file(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    if (!file) {
      const int error = errno;
      return Status(
          error == ENOENT ? Code::kNotFound : Code::kUnavailable,
          fmt::format("cannot read the configuration file {}: {}", path, std::generic_category().message(error)));
    }
    std::string text(kConfigFileBytesMax + 1, '\0');
    file.read(text.data(), static_cast<std::streamsize>(text.size()));
    if (file.bad()) return Status(Code::kUnavailable, fmt::format("cannot read the configuration file {}", path));
    text.resize(static_cast<std::size_t>(file.gcount()));
    if (text.size() > kConfigFileBytesMax) {
      return Status(Code::kInvalidArgument,
                    fmt::format("{} is larger than {} bytes: it is no configuration file", path, kConfigFileBytesMax));
    }
    return text;
  }

  // Tables nest as deep as the parser allows (256), so the recursion is bounded.
  Status walk(const toml::table& table, const std::string& prefix, const std::string& path) {
    for (const auto& [name, node] : table) {
      const std::string key = prefix.empty() ? std::string(name.str()) : fmt::format("{}.{}", prefix, name.str());
      const std::string place = fmt::format("{}:{}", path, name.source().begin.line);
      if (const ConfigOption* option = find(key)) {
        MC_RETURN_IF_ERROR(set_from_file(*option, node, place));
      } else if (node.is_table() && is_section(key)) {
        MC_RETURN_IF_ERROR(walk(*node.as_table(), key, path));
      } else {
        const std::string_view nearest = node.is_table() ? nearest_section(key) : nearest_key(key);
        return unknown(fmt::format("{}: unknown {} {}", place, node.is_table() ? "section" : "key", key), nearest);
      }
    }
    return {};
  }

  Status set_from_file(const ConfigOption& option, const toml::node& node, const std::string& place) {
    const bool is_text = option.type == ConfigType::kString;
    std::string text;
    if (const auto* string = node.as_string(); string != nullptr && is_text) {
      text = string->get();
    } else if (const auto* integer = node.as_integer(); integer != nullptr && !is_text) {
      text = fmt::format("{}", integer->get());
      if (option.type == ConfigType::kBoolean) return mismatch(option, text).annotate(place);
    } else if (const auto* number = node.as_floating_point(); number != nullptr && !is_text) {
      text = fmt::format("{}", number->get());
    } else if (const auto* boolean = node.as_boolean(); boolean != nullptr && option.type == ConfigType::kBoolean) {
      text = boolean->get() ? "true" : "false";
    } else {
      std::ostringstream type;
      type << node.type();
      return mismatch(option, fmt::format("TOML of type {}", type.str())).annotate(place);
    }
    return set(option, text, ConfigLayer::kFile, place);
  }

  Status set(const ConfigOption& option, std::string_view text, ConfigLayer layer, const std::string& origin) {
    Result<ConfigValue> value = parse_config_value(option, text);
    if (!value.ok()) return value.status().annotate(origin);
    value->layer = layer;
    value->origin = origin;
    values_.insert_or_assign(std::string(option.key), std::move(*value));
    return {};
  }

  const ConfigOption* find(std::string_view key) const {
    const auto option = std::ranges::find(table_, key, &ConfigOption::key);
    return option == table_.end() ? nullptr : &*option;
  }

  bool is_section(std::string_view name) const {
    return std::ranges::any_of(table_, [name](const ConfigOption& option) {
      return option.key.starts_with(name) && option.key.substr(name.size()).starts_with('.');
    });
  }

  // A key that exists in another section was probably meant to be there; otherwise the one that is spelled most alike.
  std::string_view nearest_key(std::string_view key) const {
    const auto last = [](std::string_view whole) { return whole.substr(whole.rfind('.') + 1); };
    std::vector<std::string_view> keys;
    for (const ConfigOption& option : table_) keys.push_back(option.key);
    const std::string_view nearest = nearest_word(key, keys);
    if (!nearest.empty()) return nearest;
    const auto moved = std::ranges::find_if(keys, [&](std::string_view other) { return last(other) == last(key); });
    return moved == keys.end() ? std::string_view() : *moved;
  }

  std::string_view nearest_section(std::string_view name) const {
    std::vector<std::string_view> sections;
    for (const ConfigOption& option : table_) sections.push_back(option.key.substr(0, option.key.rfind('.')));
    return nearest_word(name, sections);
  }

  static Status unknown(std::string what, std::string_view nearest) {
    if (!nearest.empty()) what += fmt::format("; did you mean {}?", nearest);
    return {Code::kInvalidArgument, std::move(what)};
  }

  const std::span<const ConfigOption> table_;
  std::map<std::string, ConfigValue, std::less<>>& values_;
};

// Optimal string alignment: insertions, deletions, substitutions, and swaps of neighbours, which typing makes often.
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> before_last(b.size() + 1);
  std::vector<std::size_t> last(b.size() + 1);
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(last.begin(), last.end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1)});
      const bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
      if (swapped) row[j] = std::min(row[j], before_last[j - 2] + 1);
    }
    before_last.swap(last);
    last.swap(row);
  }
  return last[b.size()];
}

}  // namespace

std::string ConfigValue::to_string() const {
  if (const auto* string = std::get_if<std::string>(&value)) return *string;
  if (const auto* integer = std::get_if<std::int64_t>(&value)) return fmt::format("{}", *integer);
  if (const auto* number = std::get_if<double>(&value)) return fmt::format("{}", *number);
  return std::get<bool>(value) ? "true" : "false";
}

Result<ConfigValue> parse_config_value(const ConfigOption& option, std::string_view text) {
  const Status bad = mismatch(option, fmt::format("\"{}\"", text));
  switch (option.type) {
    case ConfigType::kString:
      if (!option.choices.empty() && std::ranges::find(option.choices, text) == option.choices.end()) return bad;
      return ConfigValue{.value = std::string(text)};
    case ConfigType::kInteger: {
      const auto integer = parse_whole<std::int64_t>(text);
      if (!integer || !in_range(option, static_cast<double>(*integer))) return bad;
      return ConfigValue{.value = *integer};
    }
    case ConfigType::kNumber: {
      const auto number = parse_whole<double>(text);
      if (!number || !in_range(option, *number)) return bad;  // not-a-number is in no range
      return ConfigValue{.value = *number};
    }
    case ConfigType::kBoolean:
      if (text == "true" || text == "1") return ConfigValue{.value = true};
      if (text == "false" || text == "0") return ConfigValue{.value = false};
      return bad;
  }
  return bad;
}

Result<Config> Config::load(std::span<const ConfigOption> table, const ConfigSources& sources) {
  Config config;
  Loader loader(table, config.values_);
  MC_RETURN_IF_ERROR(loader.defaults());
  if (!sources.file.empty()) MC_RETURN_IF_ERROR(loader.file(sources.file));
  MC_RETURN_IF_ERROR(loader.environment(sources.environment));
  MC_RETURN_IF_ERROR(loader.flags(sources.flags));
  return config;
}

const ConfigValue& Config::at(std::string_view key) const {
  const auto entry = values_.find(key);
  CHECK(entry != values_.end());
  return entry->second;
}

const std::string& Config::text(std::string_view key) const {
  const auto* value = std::get_if<std::string>(&at(key).value);
  CHECK(value != nullptr);
  return *value;
}

std::int64_t Config::integer(std::string_view key) const {
  const auto* value = std::get_if<std::int64_t>(&at(key).value);
  CHECK(value != nullptr);
  return *value;
}

double Config::number(std::string_view key) const {
  const auto* value = std::get_if<double>(&at(key).value);
  CHECK(value != nullptr);
  return *value;
}

bool Config::boolean(std::string_view key) const {
  const auto* value = std::get_if<bool>(&at(key).value);
  CHECK(value != nullptr);
  return *value;
}

std::string config_environment_name(std::string_view key) {
  std::string name = "MOONCAKE_";
  for (const char c : key) {
    const bool lower = c >= 'a' && c <= 'z';
    name.push_back(lower ? static_cast<char>(c - 'a' + 'A') : c == '.' ? '_' : c);
  }
  return name;
}

std::string_view nearest_word(std::string_view word, std::span<const std::string_view> candidates) {
  std::string_view nearest;
  // A third of the letters wrong is still a slip of the fingers; more is another word.
  std::size_t best = word.size() / 3 + 1;
  for (const std::string_view candidate : candidates) {
    const std::size_t distance = edit_distance(word, candidate);
    if (distance < best) {
      best = distance;
      nearest = candidate;
    }
  }
  return nearest;
}

std::string config_markdown(std::span<const ConfigOption> table) {
  std::string page;
  std::string_view section;
  for (const ConfigOption& option : table) {
    const std::size_t dot = option.key.rfind('.');
    const std::string_view own = dot == std::string_view::npos ? "" : option.key.substr(0, dot);
    if (page.empty() || own != section) {
      section = own;
      page +=
          fmt::format("{}## {}\n\n| key | default | allowed | variable | flag | what |\n|---|---|---|---|---|---|\n",
                      page.empty() ? "" : "\n", section.empty() ? "general" : fmt::format("[{}]", section));
    }
    const auto code = [](std::string_view text) { return text.empty() ? std::string() : fmt::format("`{}`", text); };
    page +=
        fmt::format("| {} | {} | {} | {} | {} | {} |\n", code(option.key.substr(dot + 1)), code(option.default_value),
                    expectation(option), code(config_environment_name(option.key)), code(option.flag), option.help);
  }
  return page;
}

}  // namespace mooncake
