// Config: one table of options, one value for each, and where that value came from.
//
// A value is the option's default, unless the configuration file (TOML) gives one, unless the environment gives one,
// unless a flag gives one. The table drives everything that speaks of options: parsing, flags, names of environment
// variables, `config show --origin` and docs/configuration.md. An unknown key is an error with a suggestion: a setting
// that is silently ignored is worse than none.
//
// This library parses. It reads the file that it is told to read, and neither the environment nor the command line:
// those come in as maps, from cli/. Values are immutable after load(), hence thread-safe.
#pragma once

#include <cstdint>
#include <limits>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/status.h"

namespace mooncake {

/// Units are in the key's suffix (`_ms`, `_bytes`), not in the type.
enum class ConfigType : std::uint8_t { kString, kInteger, kNumber, kBoolean };

/// One row of the option table. The table outlives every Config made from it.
struct ConfigOption {
  std::string_view key;  ///< "gateway.slo_ttft_ms": the TOML table (the section) and the key in it; snake_case
  ConfigType type = ConfigType::kString;
  std::string_view default_value = {};  ///< as text, the way a flag gives it; must be valid, or empty text for kString
  std::string_view help = {};           ///< a sentence, for --help and docs/configuration.md
  std::string_view flag = {};           ///< "--slo-ttft-ms"; empty: no flag
  double min = std::numeric_limits<double>::lowest();  ///< kInteger and kNumber: inclusive
  double max = std::numeric_limits<double>::max();
  std::vector<std::string_view> choices = {};  ///< kString: the values allowed; empty: any
  std::string_view flag_alone = {};            ///< the value of a flag given without one; empty: it needs one
};

enum class ConfigLayer : std::uint8_t { kDefault, kFile, kEnvironment, kFlag };

/// The value of one option, and who said so.
struct ConfigValue {
  std::variant<std::string, std::int64_t, double, bool> value;  ///< the alternative that the option's type names
  ConfigLayer layer = ConfigLayer::kDefault;
  std::string origin = {};  ///< "default", "mooncake.toml:12", "MOONCAKE_GATEWAY_HTTP", "--http"

  /// As the configuration file would spell it, without quotes.
  [[nodiscard]] std::string to_string() const;
};

/// What the layers above the defaults say.
struct ConfigSources {
  /// Path of the TOML file; empty: none.
  std::string file = {};
  /// By variable name. Only variables that are meant for us: an unknown one is an error.
  std::map<std::string, std::string> environment = {};
  /// By option key.
  std::map<std::string, std::string> flags = {};
};

/// A configuration file larger than this is a mistake: the whole table is a few KiB.
inline constexpr std::size_t kConfigFileBytesMax = 1u << 20;

class Config {
 public:
  /// Resolves every option of `table`.
  /// @return kNotFound if the file does not exist, kUnavailable if it cannot be read; kInvalidArgument for what is not
  /// TOML, for unknown keys and variables, and for values of the wrong type or range. Messages name the file and line,
  /// the variable or the flag, and what was expected.
  static Result<Config> load(std::span<const ConfigOption> table, const ConfigSources& sources);

  /// The value of an option, which must be in the table and of that type (CHECK).
  [[nodiscard]] const std::string& text(std::string_view key) const;
  [[nodiscard]] std::int64_t integer(std::string_view key) const;
  [[nodiscard]] double number(std::string_view key) const;
  [[nodiscard]] bool boolean(std::string_view key) const;

  /// Value and origin of one option (CHECK: in the table), and of all, by key.
  [[nodiscard]] const ConfigValue& at(std::string_view key) const;
  [[nodiscard]] const std::map<std::string, ConfigValue, std::less<>>& values() const { return values_; }

 private:
  std::map<std::string, ConfigValue, std::less<>> values_;
};

/// "MOONCAKE_GATEWAY_SLO_TTFT_MS" for "gateway.slo_ttft_ms".
std::string config_environment_name(std::string_view key);

/// Parses `text` as a value of `option`. @return kInvalidArgument says what is allowed ("expected an integer from 1 to
/// 64, got \"many\"").
Result<ConfigValue> parse_config_value(const ConfigOption& option, std::string_view text);

/// Of `candidates`, the one that `word` was probably meant to be; empty if none is near. For "did you mean".
std::string_view nearest_word(std::string_view word, std::span<const std::string_view> candidates);

/// The table as a page of Markdown: a heading and a table for each section, in table order.
std::string config_markdown(std::span<const ConfigOption> table);

}  // namespace mooncake
