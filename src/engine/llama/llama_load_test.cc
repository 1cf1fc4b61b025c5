// Files that are no models, and what is said about them. A made-up GGUF header stands for models that cannot be served,
// cuts of the default model for broken downloads.
#include <gguf.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <filesystem>
#include <fstream>

#include "engine/llama/gguf_file.h"
#include "engine/llama/llama_engine.h"
#include "engine/test_model.h"

namespace mooncake::engine::llama {
namespace {

using testing::Test;

class LlamaLoad : public Test {
 protected:
  void SetUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "mooncake-load-XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    directory_ = name;
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  std::string path(const std::string& name) const { return (directory_ / name).string(); }
  std::string write(const std::string& name, const std::string& content) const {
    std::ofstream(path(name), std::ios::binary) << content;
    return path(name);
  }
  // The first `bytes` bytes of the default model.
  std::string cut(std::size_t bytes) const {
    std::string content(bytes, '\0');
    std::ifstream(test_model_path(), std::ios::binary).read(content.data(), static_cast<std::streamsize>(bytes));
    return write("cut.gguf", content);
  }
  static Status load(const std::string& file) {
    EngineConfig config;
    config.model_path = file;
    config.context_tokens = 256;
    const auto front = load_model_front(config);
    const auto engine = make_engine(config);
    EXPECT_EQ(front.status().code(), engine.status().code()) << "gateway and worker must agree";
    return engine.status();
  }

  std::filesystem::path directory_;
};

TEST_F(LlamaLoad, AMissingFileNamesTheCommandThatGetsTheModel) {
  const Status status = load(path("nowhere.gguf"));
  EXPECT_EQ(status.code(), Code::kNotFound);
  EXPECT_NE(status.message().find("tools/llama/model"), std::string::npos) << status.message();
  EXPECT_EQ(load("").code(), Code::kNotFound);
  EXPECT_EQ(load(path("nowhere.gguf") + "/below").code(), Code::kNotFound);
}

TEST_F(LlamaLoad, ForeignFilesAreRefused) {
  EXPECT_EQ(load(write("text.gguf", "once upon a time")).code(), Code::kCorrupt);
  EXPECT_EQ(load(write("empty.gguf", "")).code(), Code::kCorrupt);
  EXPECT_EQ(load(directory_.string()).code(), Code::kCorrupt);
  EXPECT_EQ(load(write("magic.gguf", "GGUF")).code(), Code::kCorrupt);
  EXPECT_EQ(load(write("noise.gguf", "GGUF" + std::string(10'000, '\x7f'))).code(), Code::kCorrupt);
}

TEST_F(LlamaLoad, TruncatedFilesAreRefused) {
  if (!has_test_model()) GTEST_SKIP() << kNoTestModel;
  const std::size_t whole = std::filesystem::file_size(test_model_path());
  for (const std::size_t bytes : {std::size_t{100}, std::size_t{100'000}, whole / 2, whole - 1'000}) {
    const Status status = load(cut(bytes));
    EXPECT_EQ(status.code(), Code::kCorrupt) << bytes << " bytes: " << status.to_string();
  }
}

// A GGUF file with metadata and one small tensor: enough to be judged by its metadata.
class MadeUp {
 public:
  MadeUp() : gguf_(gguf_init_empty()) {
    gguf_set_val_str(gguf_, "general.architecture", "llama");
    gguf_set_val_str(gguf_, "tokenizer.ggml.model", "gpt2");
    gguf_set_val_u32(gguf_, "llama.context_length", 4096);
    gguf_set_val_u32(gguf_, "llama.block_count", 2);
    gguf_set_val_u32(gguf_, "llama.embedding_length", 64);
    gguf_set_val_u32(gguf_, "llama.attention.head_count", 4);
  }
  ~MadeUp() { gguf_free(gguf_); }
  gguf_context* operator->() const { return gguf_; }
  gguf_context* get() const { return gguf_; }
  void write(const std::string& path) const {
    ggml_init_params params{};
    params.mem_size = 1 << 20;
    ggml_context* const context = ggml_init(params);
    ggml_tensor* const tensor = ggml_new_tensor_1d(context, GGML_TYPE_F32, 64);
    ggml_set_name(tensor, "token_embd.weight");
    gguf_add_tensor(gguf_, tensor);
    ASSERT_TRUE(gguf_write_to_file(gguf_, path.c_str(), false));
    ggml_free(context);
  }

 private:
  gguf_context* gguf_;
};

TEST_F(LlamaLoad, ReadsTheShapeOfTheCachesFromTheMetadata) {
  const MadeUp model;
  gguf_set_val_u32(model.get(), "llama.attention.head_count_kv", 2);
  gguf_set_val_u32(model.get(), "llama.attention.value_length", 8);
  model.write(path("Tiny-7B.Q4_K_M.gguf"));
  const auto file = read_gguf(path("Tiny-7B.Q4_K_M.gguf"));
  ASSERT_TRUE(file.ok()) << file.status().to_string();
  EXPECT_EQ(file.value().id, "tiny-7b");
  EXPECT_EQ(file.value().context_tokens, 4096u);
  const LayerRows rows{.key_bytes = 2 * 16 * 2, .value_bytes = 2 * 8 * 2};
  EXPECT_EQ(file.value().layers, (std::vector<LayerRows>{rows, rows}));
  EXPECT_NE(file.value().content, Key128{});
}

TEST_F(LlamaLoad, SlidingWindowModelsAreRefused) {
  const MadeUp model;
  gguf_set_val_u32(model.get(), "llama.attention.sliding_window", 512);
  model.write(path("swa.gguf"));
  const Status status = load(path("swa.gguf"));
  EXPECT_EQ(status.code(), Code::kUnsupported);
  EXPECT_NE(status.message().find("sliding window"), std::string::npos) << status.message();
}

TEST_F(LlamaLoad, ModelsWithoutPlainCachesOrWeightsAreRefused) {
  const MadeUp recurrent;
  const std::array<std::uint32_t, 2> kv_heads = {4, 0};
  gguf_set_arr_data(recurrent.get(), "llama.attention.head_count_kv", GGUF_TYPE_UINT32, kv_heads.data(), 2);
  recurrent.write(path("recurrent.gguf"));
  EXPECT_EQ(load(path("recurrent.gguf")).code(), Code::kUnsupported);
  const MadeUp vocabulary;
  gguf_remove_key(vocabulary.get(), "tokenizer.ggml.model");
  vocabulary.write(path("vocabulary.gguf"));
  EXPECT_EQ(load(path("vocabulary.gguf")).code(), Code::kUnsupported);
  const MadeUp hollow;  // plausible metadata, but neither vocabulary nor layers behind it
  hollow.write(path("hollow.gguf"));
  const Status status = load(path("hollow.gguf"));
  EXPECT_EQ(status.code(), Code::kUnsupported);
  EXPECT_EQ(status.message().find("no reason given"), std::string::npos) << status.message();
}

TEST_F(LlamaLoad, NonsenseSettingsAreRefused) {
  if (!has_test_model()) GTEST_SKIP() << kNoTestModel;
  EngineConfig config;
  config.model_path = test_model_path();
  config.context_tokens = 1 << 20;
  EXPECT_EQ(make_engine(config).status().code(), Code::kInvalidArgument);
  EXPECT_EQ(load_model_front(config).status().code(), Code::kInvalidArgument);
  config.context_tokens = 256;
  config.sequences_max = 257;
  EXPECT_EQ(make_engine(config).status().code(), Code::kInvalidArgument);
  config.kind = "abacus";
  EXPECT_EQ(make_engine(config).status().code(), Code::kInvalidArgument);
  EXPECT_EQ(load_model_front(config).status().code(), Code::kInvalidArgument);
}

TEST(ModelId, IsTheFilesNameWithoutFolderEndingAndQuantisation) {
  EXPECT_EQ(model_id_from_path("/m/SmolLM2-135M-Instruct-q8_0.gguf"), "smollm2-135m-instruct");
  EXPECT_EQ(model_id_from_path("SmolLM2-135M-Instruct.Q4_1.gguf"), "smollm2-135m-instruct");
  EXPECT_EQ(model_id_from_path("qwen3-0.6b-IQ2_XS.gguf"), "qwen3-0.6b");
  EXPECT_EQ(model_id_from_path("llama-3.2-1b-f16.gguf"), "llama-3.2-1b");
  EXPECT_EQ(model_id_from_path("qwen3-0.6b.gguf"), "qwen3-0.6b");
  EXPECT_EQ(model_id_from_path("model"), "model");
}

TEST(DefaultModel, IsTheFileThatTheScriptMakes) {
  FILE* const script = popen(MOONCAKE_SOURCE_DIR "/tools/llama/model --where", "r");
  ASSERT_NE(script, nullptr);
  std::array<char, 4096> line{};
  const bool said = fgets(line.data(), line.size(), script) != nullptr;
  EXPECT_EQ(pclose(script), 0);
  ASSERT_TRUE(said);
  EXPECT_EQ(std::string(line.data()), test_model_path() + "\n");
}

}  // namespace
}  // namespace mooncake::engine::llama
