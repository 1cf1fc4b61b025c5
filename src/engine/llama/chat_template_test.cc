#include "engine/llama/chat_template.h"

#include <gtest/gtest.h>

namespace mooncake::engine::llama {
namespace {

TEST(ChatTemplate, FindsTheDefaultSystemMessage) {
  // SmolLM2 has real line breaks in its literals, Qwen 2.5 escaped ones.
  EXPECT_EQ(default_system_message("{% if loop.first and messages[0]['role'] != 'system' %}{{ '<|im_start|>system\n"
                                   "You are a helpful AI assistant named SmolLM<|im_end|>\n' }}{% endif %}"),
            "You are a helpful AI assistant named SmolLM");
  EXPECT_EQ(default_system_message("{{- '<|im_start|>system\\n' + messages[0]['content'] + '<|im_end|>\\n' }}"
                                   "{{- '<|im_start|>system\\nYou are Qwen.<|im_end|>\\n' }}"),
            "You are Qwen.");
}

TEST(ChatTemplate, FindsNoneWhereTheMessageIsAnExpression) {
  EXPECT_EQ(default_system_message("{{ '<|im_start|>system\n' + system_message + '<|im_end|>' }}"), std::nullopt);
  EXPECT_EQ(default_system_message("{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>'}}"),
            std::nullopt);
  EXPECT_EQ(default_system_message("<|im_start|>system\nwithout an end"), std::nullopt);
  EXPECT_EQ(default_system_message(""), std::nullopt);
}

}  // namespace
}  // namespace mooncake::engine::llama
