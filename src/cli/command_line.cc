#include "cli/command_line.h"

#include <fmt/core.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <map>
#include <memory>

#include "cli/command.h"
#include "cli/version.h"

namespace mooncake::cli {
namespace {

constexpr std::string_view kAbout =
    "Mooncake serves large language models with the KVCache at the centre: prefill and decode on separate workers, "
    "one\n"
    "distributed cache of KVCache blocks, one scheduler that knows where every prefix is.\n"
    "\n"
    "Examples:\n"
    "  mooncake up                              a cluster with a small real model, on this machine\n"
    "  mooncake up --engine simulated           the same without a model\n"
    "  mooncake chat                            talk to it\n"
    "  mooncake kv why REQUEST_ID               why a request went where it went\n"
    "  mooncake bench serve --url URL           how much sooner a cached prefix answers\n";

/// What the parser found for one subcommand.
struct Parsed {
  const Command* command = nullptr;
  CLI::App* app = nullptr;
  std::map<std::string, std::string> values;  ///< by option key; holds the texts that CLI11 writes to
  std::map<std::string, bool> booleans;
  std::map<std::string, bool> switches;
  std::string argument;
};

/// CLI11's help, except that a list of subcommands shows one line of each.
class Help : public CLI::Formatter {
 public:
  std::string make_subcommand(const CLI::App* app) const override {
    std::string summary = app->get_description();
    summary.resize(std::min(summary.size(), summary.find('\n')));
    return fmt::format("  {:<10} {}\n", app->get_name(), summary);
  }
};

std::string_view group_summary(std::string_view group) {
  if (group == "kv") return "What the Conductor decided, and why";
  if (group == "transfer") return "The transfer engine alone: what it finds here, and bytes between two processes";
  if (group == "trace") return "Traces of requests";
  if (group == "config") return "Options, their values, and who set them";
  return "Measurements";
}

/// What a flag takes, in help.
std::string value_name(const ConfigOption& option) {
  if (!option.choices.empty()) return fmt::format("{}", fmt::join(option.choices, "|"));
  if (option.type == ConfigType::kInteger) return "N";
  return option.type == ConfigType::kNumber ? "NUMBER" : "TEXT";
}

/// The app for "kv why" under the app for "kv", which is made at the first use unless it is a command itself ("sim").
CLI::App* subcommand(CLI::App& root, std::string_view name, std::string_view summary) {
  const std::size_t space = name.find(' ');
  if (space == std::string_view::npos) return root.add_subcommand(std::string(name), std::string(summary));
  const std::string group(name.substr(0, space));
  const auto existing = root.get_subcommands([&](CLI::App* app) { return app->get_name() == group; });
  CLI::App* parent =
      existing.empty() ? root.add_subcommand(group, std::string(group_summary(group))) : existing.front();
  if (existing.empty()) parent->require_subcommand(1);
  return parent->add_subcommand(std::string(name.substr(space + 1)), std::string(summary));
}

void add_flag(Parsed& parsed, const ConfigOption& option) {
  const std::string key(option.key);
  const std::string flag(option.flag);
  if (option.type == ConfigType::kBoolean) {
    const std::string both = fmt::format("{},!--no-{}", flag, flag.substr(2));
    parsed.app->add_flag(both, parsed.booleans[key], std::string(option.help));
    return;
  }
  CLI::Option* added = parsed.app->add_option(flag, parsed.values[key], std::string(option.help));
  added->type_name(value_name(option));
  if (!option.default_value.empty()) added->default_str(std::string(option.default_value));
  if (!option.flag_alone.empty()) added->expected(0, 1);
}

std::unique_ptr<Parsed> add_command(CLI::App& root, const Command& command) {
  auto parsed = std::make_unique<Parsed>();
  parsed->command = &command;
  parsed->app = subcommand(root, command.name, command.summary);
  if (!command.examples.empty()) {
    parsed->app->description(fmt::format("{}\n\nExamples:\n{}", command.summary, command.examples));
  }
  for (const ConfigOption& option : section_options(command.section)) add_flag(*parsed, option);
  for (const std::string_view name : command.switches) {
    parsed->app->add_flag(std::string(name), parsed->switches[std::string(name)]);
  }
  if (!command.argument.empty()) {
    parsed->app->add_option(std::string(command.argument), parsed->argument)->required();
  }
  return parsed;
}

/// The flags that were given, by option key.
std::map<std::string, std::string> given_flags(const Parsed& parsed) {
  std::map<std::string, std::string> flags;
  for (const ConfigOption& option : section_options(parsed.command->section)) {
    if (parsed.app->count(std::string(option.flag)) == 0) continue;
    const std::string key(option.key);
    if (const auto boolean = parsed.booleans.find(key); boolean != parsed.booleans.end()) {
      flags[key] = boolean->second ? "true" : "false";
      continue;
    }
    const std::string& value = parsed.values.at(key);
    flags[key] = value.empty() ? std::string(option.flag_alone) : value;
  }
  return flags;
}

std::string own_path() {
  std::array<char, 4096> buffer;
  const ssize_t length = ::readlink("/proc/self/exe", buffer.data(), buffer.size());
  return length > 0 ? std::string(buffer.data(), static_cast<std::size_t>(length)) : "mooncake";
}

int run_parsed(const Parsed& parsed, const std::string& config_file, const Environment& environment) {
  auto config =
      Config::load(option_table(),
                   {.file = config_file, .environment = option_variables(environment), .flags = given_flags(parsed)});
  if (!config.ok()) {
    (void)fail(config.status());
    return config.status().code() == Code::kInvalidArgument ? kExitUsage : kExitFailure;
  }
  Invocation invocation{.config = *config,
                        .environment = environment,
                        .program = own_path(),
                        .config_file = config_file,
                        .arguments = {},
                        .switches = {}};
  if (!parsed.argument.empty()) invocation.arguments.push_back(parsed.argument);
  for (const auto& [name, given] : parsed.switches) {
    if (given) invocation.switches.push_back(name);
  }
  return parsed.command->run(invocation);
}

}  // namespace

int run_command_line(const std::vector<std::string>& words, const Environment& environment) {
  CLI::App root{std::string(kAbout), "mooncake"};
  std::string config_file;
  root.add_option("--config", config_file, "Configuration file (TOML); see docs/configuration.md");
  root.set_version_flag("--version", fmt::format("mooncake {} ({})", version(), commit()));
  root.require_subcommand(1);
  root.formatter(std::make_shared<Help>());
  std::vector<std::unique_ptr<Parsed>> all;
  for (const Command& command : commands()) all.push_back(add_command(root, command));

  std::vector<std::string> reversed(words.rbegin(), words.rend());
  if (!reversed.empty()) reversed.pop_back();  // CLI11 takes the words last first, without the program's name
  try {
    root.parse(std::move(reversed));
  } catch (const CLI::ParseError& error) {
    return root.exit(error) == 0 ? kExitOk : kExitUsage;
  }
  for (const auto& parsed : all) {
    // A command under a command counts for both.
    if (parsed->app->parsed() && parsed->app->get_subcommands().empty())
      return run_parsed(*parsed, config_file, environment);
  }
  return kExitUsage;
}

int fail(const Status& status) {
  fmt::print(stderr, "mooncake: {}\n", status.message());
  return kExitFailure;
}

}  // namespace mooncake::cli
