// For tests: where the default model is, without which tests of the llama engine skip themselves.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <string>

#include "engine/default_model.h"

namespace mooncake::engine {

inline constexpr const char* kNoTestModel = "the default model is not in the cache; get it with tools/llama/model";

/// The default model's path, as tools/llama/cache.sh names it.
inline std::string test_model_path() {
  const auto variable = [](const char* name) {
    const char* const value = std::getenv(name);
    return std::string(value == nullptr ? "" : value);
  };
  std::string cache = variable("MOONCAKE_CACHE_DIR");
  if (cache.empty() && !variable("XDG_CACHE_HOME").empty()) cache = variable("XDG_CACHE_HOME") + "/mooncake";
  if (cache.empty()) cache = variable("HOME") + "/.cache/mooncake";
  return cache + "/" + std::string(kDefaultModelFile);
}

inline bool has_test_model() { return std::filesystem::exists(test_model_path()); }

}  // namespace mooncake::engine
