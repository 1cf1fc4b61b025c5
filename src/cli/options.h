// Options: the one table of everything that can be set, and how its values come in: default < file < environment <
// flag.
//
// Each subcommand has the section of its name ("up.prefill" is `--prefill` of `mooncake up`, `prefill` in [up] of the
// configuration file, and MOONCAKE_UP_PREFILL). docs/configuration.md is this table, printed by `mooncake config docs`.
#pragma once

#include <map>
#include <span>
#include <string>
#include <string_view>

#include "base/config.h"
#include "base/status.h"

namespace mooncake::cli {

/// Variables of the environment, by name.
using Environment = std::map<std::string, std::string>;

/// Everything that can be set, section by section. Lives as long as the program.
std::span<const ConfigOption> option_table();

/// The rows of one section ("up").
std::span<const ConfigOption> section_options(std::string_view section);

/// The variables that are meant to set options: all that begin with MOONCAKE_, but the few that belong to the tools
/// around the program (MOONCAKE_CACHE_DIR). Misspelt ones are among them, so that Config can object to them.
Environment option_variables(const Environment& environment);

/// The value of a variable; empty if it is not set.
std::string variable(const Environment& environment, const std::string& name);

/// Where things go that can be had again: MOONCAKE_CACHE_DIR, else XDG_CACHE_HOME/mooncake, else ~/.cache/mooncake, as
/// in tools/llama/cache.sh.
std::string cache_dir(const Environment& environment);

/// The run directory if none is given, so that `up`, `chat` and `kv why` find each other.
std::string default_run_dir(const Environment& environment);

/// `model` if it is given or not needed (engine simulated), else the default model's path. @return kNotFound if the
/// default model is to be used and is not there, with the command that gets it.
Result<std::string> resolve_model(const std::string& engine, const std::string& model, const Environment& environment);

/// docs/configuration.md.
std::string configuration_page();

}  // namespace mooncake::cli
