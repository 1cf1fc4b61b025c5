// What the engine takes for granted about llama.cpp, asserted against the version that is pinned: a new version must
// pass before it may be used. Each fact is in docs/adr/0005-exact-engine.md. Needs the default model.
#include <ggml.h>
#include <gtest/gtest.h>
#include <llama.h>

#include <algorithm>
#include <cstring>
#include <string_view>

#include "engine/llama/gguf_file.h"
#include "engine/llama/llama_engine.h"
#include "engine/test_model.h"

namespace mooncake::engine::llama {
namespace {

constexpr std::uint32_t kStreams = 3;
using Block = std::vector<std::byte>;

std::unique_ptr<LlamaEngine> load(std::uint32_t threads) {
  EngineConfig config;
  config.model_path = test_model_path();
  config.threads = threads;
  config.sequences_max = kStreams;
  config.context_tokens = 1024;
  config.chunk_tokens = 1024;
  auto engine = make_llama_engine(config);
  EXPECT_TRUE(engine.ok()) << engine.status().to_string();
  return std::unique_ptr<LlamaEngine>(static_cast<LlamaEngine*>(std::move(engine).value().release()));
}

std::vector<Token> text(std::uint32_t seed, std::uint32_t count) {
  std::vector<Token> tokens;
  for (std::uint32_t i = 0; i < count; ++i) tokens.push_back(static_cast<Token>(1000 + (seed * 7919 + i * 37) % 40000));
  return tokens;
}

std::vector<float> run(Engine& engine, SequenceId sequence, std::span<const Token> tokens) {
  const WorkItem item{sequence, engine.length(sequence).value(), tokens, true};
  Output output;
  EXPECT_TRUE(engine.step({&item, 1}, {&output, 1}).ok());
  EXPECT_TRUE(output.status.ok()) << output.status.to_string();
  return output.logits;
}

std::vector<Block> export_all(Engine& engine, SequenceId sequence) {
  std::vector<Block> blocks((engine.length(sequence).value() + 63) / 64, Block(engine.layout().block_bytes));
  for (std::uint32_t i = 0; i < blocks.size(); ++i) EXPECT_TRUE(engine.export_block(sequence, i, blocks[i]).ok());
  return blocks;
}

class LlamaFacts : public testing::Test {
 protected:
  void SetUp() override {
    if (!has_test_model()) GTEST_SKIP() << kNoTestModel;
    if (shared() == nullptr) shared() = load(1);
    ASSERT_NE(shared(), nullptr);
  }
  void TearDown() override {
    for (const SequenceId sequence : opened_) (void)shared()->close(sequence);
  }
  static std::unique_ptr<LlamaEngine>& shared() {
    static std::unique_ptr<LlamaEngine> engine;
    return engine;
  }
  static LlamaEngine& engine() { return *shared(); }
  SequenceId open() {
    opened_.push_back(engine().open(1024).value());
    return opened_.back();
  }
  std::vector<SequenceId> opened_;
};

TEST_F(LlamaFacts, TheVersionIsTheOneThatThisWasCheckedWith) {
  EXPECT_TRUE(std::string_view(llama_version()).starts_with("0.5.0")) << llama_version();
  EXPECT_EQ(GGML_TYPE_F16, 1) << "the number in the header of every row group";
}

// Three streams, so that the header has streams before and after ours.
TEST_F(LlamaFacts, TheStateOfASequenceHasThePredictedHeaderAndRows) {
  const SequenceId before = open();
  run(engine(), before, text(1, 77));
  const SequenceId sequence = open();
  run(engine(), sequence, text(2, 100));
  const GgufFile file = read_gguf(test_model_path()).value();
  const StateCodec codec(file.layers, file.content, kStreams);
  for (const SequenceId id : {before, sequence}) {
    const std::uint32_t tokens = engine().length(id).value();
    const std::vector<Block> blocks = export_all(engine(), id);
    const std::vector<ConstByteSpan> views(blocks.begin(), blocks.end());
    std::vector<std::byte> predicted(codec.state_bytes(tokens));
    codec.assemble_state(id.index, views, tokens, predicted);
    EXPECT_EQ(engine().library_state(id), predicted);
  }
}

// A block is a range of rows at the block's positions, whatever happened to the stream before.
TEST_F(LlamaFacts, TheRowOfATokenStaysAtItsPosition) {
  const std::vector<Token> prompt = text(3, 200);
  const SequenceId reference = open();
  run(engine(), reference, prompt);
  const std::vector<Block> expected = export_all(engine(), reference);
  SequenceId sequence = open();
  run(engine(), sequence, text(4, 300));
  ASSERT_TRUE(engine().close(sequence).ok());
  sequence = open();
  run(engine(), sequence, std::span(prompt).first(150));
  ASSERT_TRUE(engine().truncate(sequence, 70).ok());
  run(engine(), sequence, std::span(prompt).subspan(70));
  EXPECT_EQ(export_all(engine(), sequence), expected);
  EXPECT_EQ(engine().library_state(sequence).size(), engine().library_state(reference).size());
}

// The grid does not matter beyond 512 keys either.
TEST_F(LlamaFacts, ChunksOf64AndMoreGiveTheSameBytesFarIntoAPrompt) {
  const std::vector<Token> prompt = text(5, 600);
  const SequenceId whole = open();
  const std::vector<float> logits = run(engine(), whole, prompt);
  const SequenceId cut = open();
  std::size_t at = 0;
  for (const std::size_t chunk : {464u, 64u, 72u}) {
    const std::vector<float> last = run(engine(), cut, std::span(prompt).subspan(at, chunk));
    at += chunk;
    if (at == prompt.size()) {
      EXPECT_EQ(last, logits);
    }
  }
  EXPECT_EQ(export_all(engine(), cut), export_all(engine(), whole));
}

// Why the chunk rule is there. Should this fail with a new version, the rule may go.
TEST_F(LlamaFacts, AChunkOf63GivesOtherBytes) {
  const std::vector<Token> prompt = text(6, 127);
  const SequenceId whole = open();
  run(engine(), whole, prompt);
  const SequenceId cut = open();
  run(engine(), cut, std::span(prompt).first(64));
  run(engine(), cut, std::span(prompt).subspan(64));
  EXPECT_NE(export_all(engine(), cut), export_all(engine(), whole));
}

// From 512 keys on (257 tokens, since keys are padded to 256) a single token takes the split path; with one thread that
// is one part, which changes nothing.
TEST_F(LlamaFacts, AloneOrWithOthersATokenFarIntoAPromptIsTheSame) {
  const std::vector<Token> prompt = text(7, 300);
  const std::vector<Token> other = text(8, 80);
  const SequenceId alone = open();
  run(engine(), alone, prompt);
  const Token token = 4242;
  const std::vector<float> expected = run(engine(), alone, {&token, 1});
  ASSERT_TRUE(engine().truncate(alone, 300).ok());
  const SequenceId neighbour = open();
  run(engine(), neighbour, other);
  const std::vector<WorkItem> items = {{neighbour, 80, {&token, 1}, true}, {alone, 300, {&token, 1}, true}};
  std::vector<Output> outputs(2);
  ASSERT_TRUE(engine().step(items, outputs).ok());
  EXPECT_EQ(outputs[1].logits, expected);
}

// Few steps: ggml's threads spin at every barrier, which takes long on a busy host.
TEST_F(LlamaFacts, TheNumberOfThreadsDoesNotMatter) {
  const std::unique_ptr<LlamaEngine> two = load(2);
  ASSERT_NE(two, nullptr);
  const std::vector<Token> prompt = text(9, 270);
  const SequenceId here = open();
  const SequenceId there = two->open(1024).value();
  EXPECT_EQ(run(*two, there, prompt), run(engine(), here, prompt));
  const Token token = 4242;
  EXPECT_EQ(run(*two, there, {&token, 1}), run(engine(), here, {&token, 1}));
  EXPECT_EQ(export_all(*two, there), export_all(engine(), here));
  // Together with another sequence a token is computed by both threads.
  const SequenceId neighbour = two->open(1024).value();
  run(*two, neighbour, text(10, 20));
  const std::vector<WorkItem> items = {{there, 271, {&token, 1}, true}, {neighbour, 20, {&token, 1}, true}};
  std::vector<Output> outputs(2);
  ASSERT_TRUE(two->step(items, outputs).ok());
  EXPECT_EQ(outputs[0].logits, run(engine(), here, {&token, 1}));
}

}  // namespace
}  // namespace mooncake::engine::llama
