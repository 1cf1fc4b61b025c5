// What every engine must do, whatever it computes with. Runs over the simulated engine, and over llama.cpp with the
// default model (skipped, with a message, where that is not in the cache).
//
// Method: a reference is computed once, cold and alone. Everything else (imported, in a batch, cut otherwise, after a
// cancelled step) must give the same KVCache bytes and the same logits, bit for bit.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <thread>

#include "engine/engine.h"
#include "engine/test_model.h"

namespace mooncake::engine {
namespace {

using Block = std::vector<std::byte>;

constexpr std::uint32_t kChunk = 256;
constexpr std::uint32_t kPrompt = 200;    // three blocks and a part
constexpr std::uint32_t kSequences = 10;  // more than the llama engine puts into one batch

EngineConfig config_of(const std::string& kind) {
  return {.kind = kind,
          .model_path = test_model_path(),
          .threads = 1,
          .sequences_max = kSequences,
          .context_tokens = 1024,
          .chunk_tokens = kChunk};
}

// Loading takes longer than most tests, so the engines are shared; each test closes what it opened.
Engine* shared_engine(const std::string& kind) {
  static std::map<std::string, std::unique_ptr<Engine>> engines;
  auto& engine = engines[kind];
  if (engine == nullptr) {
    auto made = make_engine(config_of(kind));
    if (made.ok())
      engine = std::move(made).value();
    else
      ADD_FAILURE() << made.status().to_string();
  }
  return engine.get();
}

// Tokens that every engine knows: `seed` names the text.
std::vector<Token> text(std::uint32_t seed, std::uint32_t count) {
  std::vector<Token> tokens;
  for (std::uint32_t i = 0; i < count; ++i)
    tokens.push_back(static_cast<Token>(32 + (seed * 7919 + i * i * 31 + i) % 90));
  return tokens;
}

class Conformance : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    if (GetParam() == "llama" && !has_test_model()) GTEST_SKIP() << kNoTestModel;
    engine_ = shared_engine(GetParam());
    ASSERT_NE(engine_, nullptr);
    ASSERT_EQ(engine_->capacity().sequences_open, 0u) << "an earlier test left a sequence open";
  }
  void TearDown() override {
    for (const SequenceId sequence : opened_) (void)engine_->close(sequence);
  }

  SequenceId open(std::uint32_t reserve = 512) {
    auto sequence = engine_->open(reserve);
    EXPECT_TRUE(sequence.ok()) << sequence.status().to_string();
    opened_.push_back(sequence.value());
    return sequence.value();
  }

  Output run(SequenceId sequence, std::span<const Token> tokens) {
    const WorkItem item{
        .sequence = sequence, .position = engine_->length(sequence).value(), .tokens = tokens, .want_logits = true};
    Output output;
    EXPECT_TRUE(engine_->step({&item, 1}, {&output, 1}).ok());
    EXPECT_TRUE(output.status.ok()) << output.status.to_string();
    return output;
  }
  // As a decode worker does: one token a step.
  std::vector<Output> replay(SequenceId sequence, std::span<const Token> tokens) {
    std::vector<Output> outputs;
    for (const Token& token : tokens) outputs.push_back(run(sequence, {&token, 1}));
    return outputs;
  }

  std::vector<Block> export_all(SequenceId sequence) {
    const std::uint32_t length = engine_->length(sequence).value();
    const KvLayout& layout = engine_->layout();
    std::vector<Block> blocks((length + layout.block_tokens - 1) / layout.block_tokens);
    for (std::uint32_t i = 0; i < blocks.size(); ++i) {
      blocks[i].assign(layout.block_bytes, std::byte{0xee});
      EXPECT_TRUE(engine_->export_block(sequence, i, blocks[i]).ok());
    }
    return blocks;
  }
  Status import(SequenceId sequence, const std::vector<Block>& blocks, std::uint32_t tokens) {
    const std::vector<ConstByteSpan> views(blocks.begin(), blocks.end());
    return engine_->import_prefix(sequence, views, tokens);
  }

  Engine* engine_ = nullptr;
  std::vector<SequenceId> opened_;
};

TEST_P(Conformance, SaysWhatItsModelAndBlocksAre) {
  const KvLayout& layout = engine_->layout();
  EXPECT_EQ(layout.block_tokens, 64u);
  EXPECT_GT(layout.layer_count, 0u);
  EXPECT_GT(layout.block_bytes, 0u);
  EXPECT_NE(layout.model, Key128{});
  EXPECT_FALSE(engine_->model().id.empty());
  EXPECT_EQ(engine_->model().context_tokens, 1024u);
  EXPECT_EQ(engine_->chunk_tokens_max(), kChunk);
  const auto front = load_model_front(config_of(GetParam()));
  ASSERT_TRUE(front.ok()) << front.status().to_string();
  EXPECT_EQ(front.value().layout.model, layout.model) << "gateway and worker must name the model alike";
  EXPECT_EQ(front.value().layout.block_bytes, layout.block_bytes);
  EXPECT_EQ(front.value().model.id, engine_->model().id);
  EXPECT_EQ(front.value().tokenizer->vocabulary_size(), engine_->tokenizer().vocabulary_size());
}

TEST_P(Conformance, WhatIsImportedIsWhatWasExported) {
  const std::vector<Token> prompt = text(1, kPrompt);
  const SequenceId source = open();
  run(source, prompt);
  const std::vector<Block> blocks = export_all(source);
  const SequenceId target = open();
  ASSERT_TRUE(import(target, blocks, kPrompt).ok());
  EXPECT_EQ(engine_->length(target).value(), kPrompt);
  EXPECT_EQ(export_all(target), blocks);
  const std::vector<Token> next = text(2, 5);
  const std::vector<Output> expected = replay(source, next);
  const std::vector<Output> actual = replay(target, next);
  for (std::size_t i = 0; i < next.size(); ++i) EXPECT_EQ(actual[i].logits, expected[i].logits) << "token " << i;
  EXPECT_EQ(export_all(target), export_all(source)) << "blocks made by decode, too";
}

TEST_P(Conformance, UnusedRowsOfAPartialBlockAreZero) {
  const SequenceId long_one = open();
  run(long_one, text(1, 128));
  const SequenceId sequence = open();
  run(sequence, text(1, 128));
  ASSERT_TRUE(engine_->truncate(sequence, 70).ok());
  const Block partial = export_all(sequence)[1];
  const Block whole = export_all(long_one)[1];
  EXPECT_NE(partial, whole);
  ASSERT_TRUE(engine_->truncate(long_one, 70).ok());
  EXPECT_EQ(export_all(long_one)[1], partial);
  const auto zeros = std::count(partial.begin(), partial.end(), std::byte{0});
  EXPECT_GE(zeros, static_cast<std::ptrdiff_t>(partial.size() / 64 * 57)) << "58 of 64 rows are not used";
}

TEST_P(Conformance, ColdAndWarmGiveTheSame) {
  const std::vector<Token> prompt = text(3, kPrompt);
  const SequenceId cold = open();
  const Output expected = run(cold, prompt);
  const std::vector<Block> blocks = export_all(cold);
  // Two blocks are cached; 72 tokens remain, which is one chunk.
  const SequenceId warm = open();
  ASSERT_TRUE(import(warm, {blocks[0], blocks[1]}, 128).ok());
  EXPECT_EQ(run(warm, std::span(prompt).subspan(128)).logits, expected.logits);
  EXPECT_EQ(export_all(warm), blocks);
  // Three are: fewer than 64 tokens remain, so the last 64 are computed again.
  const SequenceId warmer = open();
  ASSERT_TRUE(import(warmer, {blocks[0], blocks[1], blocks[2]}, 192).ok());
  ASSERT_TRUE(engine_->truncate(warmer, kPrompt - 64).ok());
  EXPECT_EQ(run(warmer, std::span(prompt).subspan(kPrompt - 64)).logits, expected.logits);
  EXPECT_EQ(export_all(warmer), blocks);
}

TEST_P(Conformance, ChunksOf64AndMoreMayLieAnywhere) {
  const std::vector<Token> prompt = text(4, kPrompt);
  const SequenceId whole = open();
  const Output expected = run(whole, prompt);
  for (const std::uint32_t cut : {64u, 71u, 136u}) {
    const SequenceId sequence = open();
    run(sequence, std::span(prompt).first(cut));
    EXPECT_EQ(run(sequence, std::span(prompt).subspan(cut)).logits, expected.logits) << "cut at " << cut;
    EXPECT_EQ(export_all(sequence), export_all(whole)) << "cut at " << cut;
  }
}

TEST_P(Conformance, ATokenMoreOrLessChangesTheAnswer) {
  const std::vector<Token> prompt = text(5, 80);
  const Output full = run(open(), prompt);
  const Output shorter = run(open(), std::span(prompt).first(79));
  std::vector<Token> other = prompt;
  other[10] = other[10] == 40 ? 41 : 40;
  EXPECT_NE(full.logits, shorter.logits);
  EXPECT_NE(full.logits, run(open(), other).logits);
}

TEST_P(Conformance, TruncatedAndRecomputedIsTheSame) {
  const std::vector<Token> prompt = text(6, kPrompt);
  const SequenceId sequence = open();
  const Output expected = run(sequence, prompt);
  const std::vector<Block> blocks = export_all(sequence);
  ASSERT_TRUE(engine_->truncate(sequence, 100).ok());
  EXPECT_EQ(engine_->length(sequence).value(), 100u);
  EXPECT_EQ(engine_->truncate(sequence, 101).code(), Code::kOutOfRange);
  EXPECT_EQ(run(sequence, std::span(prompt).subspan(100)).logits, expected.logits);
  EXPECT_EQ(export_all(sequence), blocks);
  ASSERT_TRUE(engine_->truncate(sequence, 0).ok());
  EXPECT_EQ(run(sequence, prompt).logits, expected.logits);
}

// A slot that held something else before must not show.
TEST_P(Conformance, AReusedSlotIsClean) {
  const std::vector<Token> prompt = text(7, 150);
  SequenceId sequence = open();
  const Output expected = run(sequence, prompt);
  const std::vector<Block> blocks = export_all(sequence);
  for (std::uint32_t round = 1; round <= 2; ++round) {
    ASSERT_TRUE(engine_->close(sequence).ok());
    sequence = open();
    run(sequence, text(100 + round, 100 + 30 * round));
    ASSERT_TRUE(engine_->close(sequence).ok());
    sequence = open();
    EXPECT_EQ(run(sequence, prompt).logits, expected.logits);
    EXPECT_EQ(export_all(sequence), blocks);
  }
}

TEST_P(Conformance, SequencesTogetherEqualEachAlone) {
  std::vector<std::vector<Token>> prompts;
  std::vector<std::vector<Output>> expected;
  const std::vector<Token> next = text(9, 1);
  for (std::uint32_t s = 0; s < kSequences; ++s) {
    prompts.push_back(text(20 + s, 5 + s * 15));  // 5 to 140 tokens
    const SequenceId alone = open();
    run(alone, prompts[s]);
    expected.push_back(replay(alone, next));
    ASSERT_TRUE(engine_->close(alone).ok());
  }
  std::vector<SequenceId> sequences;
  for (const auto& prompt : prompts) {
    sequences.push_back(open());
    run(sequences.back(), prompt);
  }
  // Every batch size, so that one that computes otherwise is found.
  for (std::size_t k = 0; k < next.size(); ++k) {
    for (std::uint32_t batch = 1; batch <= kSequences; ++batch) {
      std::vector<WorkItem> items;
      for (std::uint32_t s = 0; s < batch; ++s) {
        ASSERT_TRUE(engine_->truncate(sequences[s], static_cast<std::uint32_t>(prompts[s].size() + k)).ok());
        items.push_back({sequences[s], static_cast<std::uint32_t>(prompts[s].size() + k), {&next[k], 1}, true});
      }
      std::vector<Output> outputs(batch);
      ASSERT_TRUE(engine_->step(items, outputs).ok());
      for (std::uint32_t s = 0; s < batch; ++s) {
        ASSERT_EQ(outputs[s].logits, expected[s][k].logits) << "sequence " << s << " in a batch of " << batch;
      }
    }
  }
}

TEST_P(Conformance, PrefillAndDecodeInOneStepEqualEachAlone) {
  const std::vector<Token> prompt = text(10, 130);
  const std::vector<Token> other = text(11, 90);
  const Token next = 50;
  const SequenceId alone = open();
  const Output prefilled = run(alone, prompt);
  const Output decoded = run(alone, {&next, 1});
  const SequenceId decoding = open();
  run(decoding, prompt);
  const SequenceId prefilling = open();
  const SequenceId also_prefilling = open();
  const std::vector<WorkItem> items = {
      {prefilling, 0, prompt, true}, {decoding, 130, {&next, 1}, true}, {also_prefilling, 0, other, false}};
  std::vector<Output> outputs(3);
  ASSERT_TRUE(engine_->step(items, outputs).ok());
  EXPECT_EQ(outputs[0].logits, prefilled.logits);
  EXPECT_EQ(outputs[1].logits, decoded.logits);
  EXPECT_TRUE(outputs[2].logits.empty()) << "nobody asked";
  EXPECT_EQ(engine_->length(also_prefilling).value(), 90u);
}

TEST_P(Conformance, RefusesBlocksInTheWrongPlace) {
  const SequenceId source = open();
  run(source, text(12, kPrompt));
  const std::vector<Block> blocks = export_all(source);
  const SequenceId target = open();
  EXPECT_EQ(import(target, {blocks[1], blocks[0]}, 128).code(), Code::kCorrupt) << "swapped";
  EXPECT_EQ(import(target, {blocks[0], blocks[2]}, 128).code(), Code::kCorrupt) << "a hole";
  EXPECT_EQ(import(target, {blocks[1]}, 64).code(), Code::kCorrupt) << "the first is missing";
  EXPECT_EQ(import(target, {blocks[0], blocks[1], blocks[2], blocks[3]}, kPrompt + 1).code(), Code::kCorrupt)
      << "a row that the partial block does not have";
  EXPECT_EQ(engine_->length(target).value(), 0u);
  EXPECT_TRUE(import(target, blocks, kPrompt).ok()) << "the sequence is still empty and usable";
}

TEST_P(Conformance, RefusesBlocksOfTheWrongNumberOrSize) {
  const SequenceId source = open();
  run(source, text(12, kPrompt));
  const std::vector<Block> blocks = export_all(source);
  const SequenceId target = open();
  EXPECT_EQ(import(target, {blocks[0]}, 128).code(), Code::kInvalidArgument) << "too few";
  EXPECT_EQ(import(target, {blocks[0], blocks[1]}, 64).code(), Code::kInvalidArgument) << "too many";
  EXPECT_EQ(import(target, {}, 0).code(), Code::kInvalidArgument) << "none";
  Block shorter = blocks[0];
  shorter.pop_back();
  EXPECT_EQ(import(target, {shorter}, 64).code(), Code::kInvalidArgument);
  EXPECT_EQ(import(source, {blocks[0]}, 64).code(), Code::kInvalidArgument) << "not empty";
  EXPECT_EQ(import(open(100), {blocks[0], blocks[1]}, 128).code(), Code::kOutOfRange) << "no room was reserved";
  EXPECT_EQ(engine_->length(source).value(), kPrompt);
}

TEST_P(Conformance, RefusesCorruptBlocks) {
  const SequenceId source = open();
  run(source, text(13, 64));
  const Block block = export_all(source)[0];
  const SequenceId target = open();
  for (const std::size_t at : {0u, 5u, 9u, 17u, 25u, 40u}) {  // what llama.cpp's own import would not notice
    Block corrupt = block;
    corrupt[at] ^= std::byte{1};
    EXPECT_EQ(import(target, {corrupt}, 64).code(), Code::kCorrupt) << "byte " << at;
  }
  EXPECT_EQ(import(target, {Block(block.size())}, 64).code(), Code::kCorrupt) << "zeros";
  EXPECT_TRUE(import(target, {block}, 64).ok());
}

TEST_P(Conformance, ExportsOnlyWhatIsThere) {
  const SequenceId sequence = open();
  Block block(engine_->layout().block_bytes);
  EXPECT_EQ(engine_->export_block(sequence, 0, block).code(), Code::kOutOfRange);
  run(sequence, text(14, 64));
  EXPECT_TRUE(engine_->export_block(sequence, 0, block).ok());
  EXPECT_EQ(engine_->export_block(sequence, 1, block).code(), Code::kOutOfRange);
  block.pop_back();
  EXPECT_EQ(engine_->export_block(sequence, 0, block).code(), Code::kInvalidArgument);
}

TEST_P(Conformance, HoldsItsCapacity) {
  const Capacity empty = engine_->capacity();
  EXPECT_EQ(empty.sequences_max, kSequences);
  EXPECT_EQ(empty.tokens_max, kSequences * 1024u);
  EXPECT_EQ(empty.tokens_reserved, 0u);
  EXPECT_EQ(engine_->open(1025).status().code(), Code::kOutOfRange);
  for (std::uint32_t s = 0; s < kSequences; ++s) open(100 + s);
  EXPECT_EQ(engine_->capacity().sequences_open, kSequences);
  EXPECT_EQ(engine_->capacity().tokens_reserved, kSequences * 100u + kSequences * (kSequences - 1) / 2);
  EXPECT_EQ(engine_->open(1).status().code(), Code::kExhausted);
  ASSERT_TRUE(engine_->close(opened_[3]).ok());
  EXPECT_EQ(open(1).index, opened_[3].index) << "the lowest free slot";
}

TEST_P(Conformance, RefusesClosedSequences) {
  const SequenceId closed = open();
  ASSERT_TRUE(engine_->close(closed).ok());
  const SequenceId reopened = open();
  ASSERT_EQ(reopened.index, closed.index);
  EXPECT_EQ(engine_->close(closed).code(), Code::kStale);
  EXPECT_EQ(engine_->truncate(closed, 0).code(), Code::kStale);
  EXPECT_EQ(engine_->length(closed).status().code(), Code::kStale);
  Block block(engine_->layout().block_bytes);
  EXPECT_EQ(engine_->export_block(closed, 0, block).code(), Code::kStale);
  EXPECT_EQ(import(closed, {block}, 64).code(), Code::kStale);
}

TEST_P(Conformance, ABadItemDoesNotHurtTheOthers) {
  const std::vector<Token> prompt = text(15, 70);
  const Output expected = run(open(), prompt);
  const SequenceId good = open();
  const SequenceId bad = open();
  const SequenceId small = open(50);
  const std::vector<Token> unknown = {static_cast<Token>(engine_->tokenizer().vocabulary_size())};
  const std::vector<Token> negative = {-1};
  const std::vector<Token> too_long(kChunk + 1, 40);
  const std::vector<WorkItem> items = {
      {bad, 0, unknown, true},  {bad, 0, negative, true}, {good, 0, prompt, true},
      {good, 0, prompt, true},  {bad, 1, prompt, true},   {small, 0, prompt, true},
      {bad, 0, too_long, true}, {bad, 0, {}, true},       {SequenceId{99, 1}, 0, prompt, true}};
  std::vector<Output> outputs(items.size());
  ASSERT_TRUE(engine_->step(items, outputs).ok());
  EXPECT_EQ(outputs[0].status.code(), Code::kInvalidArgument) << "beyond the vocabulary";
  EXPECT_EQ(outputs[1].status.code(), Code::kInvalidArgument) << "a negative token";
  EXPECT_EQ(outputs[2].logits, expected.logits);
  EXPECT_EQ(outputs[3].status.code(), Code::kInvalidArgument) << "twice in a step";
  EXPECT_EQ(outputs[4].status.code(), Code::kInvalidArgument) << "not at the end of the sequence";
  EXPECT_EQ(outputs[5].status.code(), Code::kOutOfRange) << "beyond the reservation";
  EXPECT_EQ(outputs[6].status.code(), Code::kInvalidArgument) << "longer than a chunk";
  EXPECT_EQ(outputs[7].status.code(), Code::kInvalidArgument) << "no tokens";
  EXPECT_EQ(outputs[8].status.code(), Code::kStale);
  EXPECT_EQ(engine_->length(bad).value(), 0u);
  EXPECT_EQ(engine_->step(items, {}).code(), Code::kInvalidArgument);
}

TEST_P(Conformance, CancelEndsTheStepAndUndoesIt) {
  const std::vector<Token> prompt = text(16, kChunk);
  const SequenceId bystander = open();
  run(bystander, text(17, 100));
  const std::vector<Block> before = export_all(bystander);
  const SequenceId sequence = open();

  // Before the step: the next one ends at once.
  engine_->cancel();
  const WorkItem item{.sequence = sequence, .position = 0, .tokens = prompt, .want_logits = true};
  Output output;
  EXPECT_EQ(engine_->step({&item, 1}, {&output, 1}).code(), Code::kCancelled);
  EXPECT_EQ(output.status.code(), Code::kCancelled);
  EXPECT_TRUE(output.logits.empty());
  EXPECT_EQ(engine_->length(sequence).value(), 0u);

  // During it, from another thread: many chunks take long enough for some to be undone, wherever the cancel lands.
  std::vector<WorkItem> items = {{sequence, 0, prompt, true}};
  for (std::uint32_t s = 2; s < kSequences; ++s) items.push_back({open(), 0, prompt, true});
  std::vector<Output> outputs(items.size());
  std::thread canceller([this] { engine_->cancel(); });
  const Status status = engine_->step(items, outputs);
  canceller.join();
  EXPECT_EQ(status.code(), Code::kCancelled);
  EXPECT_EQ(outputs.back().status.code(), Code::kCancelled);
  for (std::size_t i = 0; i < items.size(); ++i) {
    const bool done = outputs[i].status.ok();
    EXPECT_EQ(engine_->length(items[i].sequence).value(), done ? kChunk : 0u);
    EXPECT_EQ(outputs[i].logits.empty(), !done);
  }

  // Nothing is left of it.
  EXPECT_EQ(export_all(bystander), before);
  ASSERT_TRUE(engine_->truncate(sequence, 0).ok());
  const Output redone = run(sequence, prompt);
  const std::vector<Block> blocks = export_all(sequence);
  ASSERT_TRUE(engine_->close(opened_.back()).ok());
  const SequenceId fresh = open();
  EXPECT_EQ(run(fresh, prompt).logits, redone.logits);
  EXPECT_EQ(export_all(fresh), blocks);
}

TEST_P(Conformance, TokenizerReadsAndWritesText) {
  const Tokenizer& tokenizer = engine_->tokenizer();
  const std::string original = "Der Mond – 月 🌙 is 384,400 km away.\n";
  const auto tokens = tokenizer.tokenize(original, false);
  ASSERT_TRUE(tokens.ok());
  std::string pieces;
  for (const Token token : tokens.value()) pieces += tokenizer.piece(token);
  EXPECT_EQ(pieces, original);
  EXPECT_EQ(tokenizer.tokenize("broken \xff text", false).status().code(), Code::kInvalidArgument);
  EXPECT_TRUE(tokenizer.tokenize("", false).ok());
  EXPECT_EQ(tokenizer.piece(-1), "");
  EXPECT_EQ(tokenizer.piece(static_cast<Token>(tokenizer.vocabulary_size())), "");
  EXPECT_FALSE(tokenizer.is_end(-1));
}

TEST_P(Conformance, ChatPromptKeepsTheMessagesAndKnowsItsRoles) {
  const Tokenizer& tokenizer = engine_->tokenizer();
  const std::vector<ChatMessage> chat = {{"system", "Be brief."}, {"user", "Hello?"}};
  const auto prompt = tokenizer.chat_prompt(chat);
  ASSERT_TRUE(prompt.ok());
  EXPECT_LT(prompt.value().find("Be brief."), prompt.value().find("Hello?"));
  EXPECT_LT(prompt.value().find("Hello?"), prompt.value().rfind("assistant"));
  const std::vector<ChatMessage> wizard = {{"wizard", "Hello?"}};
  EXPECT_EQ(tokenizer.chat_prompt(wizard).status().code(), Code::kInvalidArgument);
  EXPECT_EQ(tokenizer.chat_prompt({}).status().code(), Code::kInvalidArgument);
}

INSTANTIATE_TEST_SUITE_P(Engines, Conformance, testing::Values("simulated", "llama"),
                         [](const auto& engine) { return engine.param; });

}  // namespace
}  // namespace mooncake::engine
