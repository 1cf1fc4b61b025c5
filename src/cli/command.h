// Command: one subcommand of `mooncake`. Each lives in a small file of its own, reads its section of the options, wires
// libraries together, and decides nothing else.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/config.h"
#include "cli/options.h"

namespace mooncake::cli {

inline constexpr int kExitOk = 0;
inline constexpr int kExitFailure = 1;
inline constexpr int kExitUsage = 2;

/// One call of a subcommand.
struct Invocation {
  const Config& config;
  const Environment& environment;
  std::string program;                 ///< path of this binary
  std::string config_file;             ///< empty: none
  std::vector<std::string> arguments;  ///< positional ones
  std::vector<std::string> switches;   ///< of Command::switches, those that were given
};

struct Command {
  std::string_view name;                        ///< "up"; "kv why" is `why` under `kv`
  std::string_view summary;                     ///< one line
  std::string_view examples;                    ///< a command a line
  std::string_view section;                     ///< of the options that are its flags; empty: none
  std::string_view argument = {};               ///< name of its one positional argument, required; empty: none
  std::vector<std::string_view> switches = {};  ///< flags that are no options: "--origin"
  /// Does it. @return the exit status. Errors are printed, to standard error.
  int (*run)(const Invocation& invocation);
};

/// All of them, in the order of --help.
const std::vector<Command>& commands();

/// Prints "mooncake: message" to standard error. @return kExitFailure.
int fail(const Status& status);

}  // namespace mooncake::cli
