// What --profile means: the constants by which the Conductor and the simulator expect things to take time.
#pragma once

#include <string>
#include <string_view>

#include "base/status.h"
#include "kvcache/cost_model.h"

namespace mooncake::cli {

/// A profile is a dozen numbers; what is longer is another file.
inline constexpr std::size_t kProfileBytesMax = 64 << 10;

/// The profile with that built-in name, or the one in that file, if the text ends in ".json".
/// @return kNotFound for a file that cannot be read and for a name that is not built in, naming the choices;
/// kInvalidArgument, naming file and member, for a file that holds no profile.
Result<kvcache::CostProfile> resolve_profile(const std::string& name_or_file);

/// Name of the built-in profile that describes an engine ("llama", "simulated") when none is given.
std::string_view default_profile_name(std::string_view engine);

/// As resolve_profile(); an empty text means the engine's own profile.
Result<kvcache::CostProfile> resolve_profile(const std::string& name_or_file, std::string_view engine);

}  // namespace mooncake::cli
