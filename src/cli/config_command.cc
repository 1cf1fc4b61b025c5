// `mooncake config show [--origin]` and `mooncake config docs`.
#include <fmt/core.h>

#include "cli/tool_commands.h"

namespace mooncake::cli {

int run_config_show(const Invocation& invocation) {
  const bool with_origin = !invocation.switches.empty();
  std::string_view section;
  for (const ConfigOption& option : option_table()) {
    const std::size_t dot = option.key.find('.');
    if (option.key.substr(0, dot) != section) {
      fmt::print("{}[{}]\n", section.empty() ? "" : "\n", option.key.substr(0, dot));
      section = option.key.substr(0, dot);
    }
    const ConfigValue& value = invocation.config.at(option.key);
    const std::string_view quote = option.type == ConfigType::kString ? "\"" : "";
    const std::string line = fmt::format("{} = {}{}{}", option.key.substr(dot + 1), quote, value.to_string(), quote);
    if (with_origin) {
      fmt::print("{:<40} # {}\n", line, value.origin);
    } else {
      fmt::print("{}\n", line);
    }
  }
  return kExitOk;
}

int run_config_docs(const Invocation&) {
  fmt::print("{}", configuration_page());
  return kExitOk;
}

}  // namespace mooncake::cli
