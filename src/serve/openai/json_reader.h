// JSON from clients: strict, with limits, and never throwing.
#pragma once

#include <cstddef>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "serve/openai/api_error.h"

namespace mooncake::serve::openai {

/// Nothing in the protocol nests deeper than 6; parsers of clients and proxies commonly stop at 64 or more.
inline constexpr std::size_t kJsonDepthMax = 64;
/// A prompt of 131,072 token ids is as many values. At 16 bytes a value this bounds a document's tree to 16 MiB.
inline constexpr std::size_t kJsonValuesMax = 1u << 20;

/// Parses `text` into `out`. @return what is wrong and where: code "invalid_utf8", "invalid_json" or "json_too_large".
std::optional<ApiError> read_json(std::string_view text, nlohmann::json& out);

/// As read_json(), and the document must be an object.
std::optional<ApiError> read_json_object(std::string_view text, nlohmann::json& out);

/// A value as an error message shows it: JSON, cut after 60 bytes.
std::string shown(const nlohmann::json& value);

}  // namespace mooncake::serve::openai
