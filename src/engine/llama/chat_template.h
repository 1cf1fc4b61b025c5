// What a model's chat template says beyond its format. llama.cpp recognises the format of a template and applies that;
// it does not run the template, so a default that the template would insert is found here.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace mooncake::engine::llama {

/// The system message that a ChatML template inserts when the conversation has none: the literal between
/// "<|im_start|>system\n" and "<|im_end|>" (SmolLM2, Qwen 2.5). Nothing if it inserts none. Pure.
std::optional<std::string> default_system_message(std::string_view chat_template);

}  // namespace mooncake::engine::llama
