// The model that is used when none is named: where tools/llama/model puts it.
#pragma once

#include <string_view>

namespace mooncake::engine {

/// Relative to the cache directory: $MOONCAKE_CACHE_DIR, else $XDG_CACHE_HOME/mooncake, else ~/.cache/mooncake. Whoever
/// reads the environment joins them. A test compares this with the script.
inline constexpr std::string_view kDefaultModelFile = "models/smollm2-135m-instruct-q8_0.gguf";

}  // namespace mooncake::engine
