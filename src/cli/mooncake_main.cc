// The program `mooncake`: the one place that reads the environment.
#include <unistd.h>

#include <cstdlib>
#include <exception>
#include <string>
#include <vector>

#include <fmt/core.h>

#include "cli/command.h"
#include "cli/command_line.h"

namespace {

mooncake::cli::Environment read_environment() {
  mooncake::cli::Environment environment;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string text = *entry;
    const std::size_t equals = text.find('=');
    if (equals != std::string::npos) environment.emplace(text.substr(0, equals), text.substr(equals + 1));
  }
  return environment;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return mooncake::cli::run_command_line({argv, argv + argc}, read_environment());
  } catch (const std::exception& error) {  // out of memory, or a library's exception that passed its edge: ours to fix
    fmt::print(stderr, "mooncake: internal error: {}\n", error.what());
    return mooncake::cli::kExitFailure;
  }
}
