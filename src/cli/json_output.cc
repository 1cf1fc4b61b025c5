#include "cli/json_output.h"

#include <fmt/core.h>

#include <filesystem>
#include <fstream>

namespace mooncake::cli {

Status write_json(const std::string& target, std::string_view text) {
  if (target.empty()) return {};
  if (target == kJsonToStdout) {
    fmt::print("{}", text);
    return std::fflush(stdout) == 0 ? Status() : Status(Code::kUnavailable, "cannot write to standard output");
  }
  const std::string partial = target + ".partial";
  std::ofstream out(partial, std::ios::binary | std::ios::trunc);
  out << text;
  out.close();
  std::error_code error;
  if (out) std::filesystem::rename(partial, target, error);
  if (!out || error) return {Code::kUnavailable, fmt::format("cannot write the results to {}", target)};
  return {};
}

}  // namespace mooncake::cli
