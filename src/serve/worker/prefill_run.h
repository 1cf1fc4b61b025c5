// PrefillRun: one prompt inside the engine of a prefill worker: import of the cached prefix, chunks, export of what
// they made, and the first token.
//
// Its functions run on the engine thread, one after the other; the loop reads what they return. abandon() is the one
// thing that may come from elsewhere.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "base/status.h"
#include "base/time.h"
#include "engine/engine.h"
#include "serve/worker/protocol.h"

namespace mooncake::serve {

/// What one chunk made. Blocks [first_block, first_block + block_crc32c.size()) are exported.
struct ChunkResult {
  Status status;
  std::uint32_t first_block = 0;
  std::vector<std::uint32_t> block_crc32c;
  std::optional<engine::Token> first_token;  ///< of the answer, with the last chunk
  Nanos took{};
};

class PrefillRun {
 public:
  /// `memory` holds block i of the prompt at i * block_bytes: imported ones on begin(), exported ones after compute().
  /// It must live until the last function has returned.
  PrefillRun(std::vector<engine::Token> prompt, AnswerParams answer, ByteSpan memory, engine::KvLayout layout);

  /// Opens the sequence and imports the first `import_tokens` tokens (whole blocks), then forgets all from `start` on.
  /// If the engine refuses the blocks the sequence is open and empty: kCorrupt, and the caller begins again with none.
  Status begin(engine::Engine& engine, std::uint32_t import_tokens, std::uint32_t start);

  /// Computes the next `count` tokens and exports every block that is complete now, and after the last token also the
  /// partial one. Repeats a step that was interrupted for somebody else's sake.
  ChunkResult compute(engine::Engine& engine, std::uint32_t count);

  /// Closes the sequence, if it is open.
  void finish(engine::Engine& engine);

  /// The result is not wanted any more: compute() returns kCancelled soon (the caller interrupts the engine as well).
  /// From any thread.
  void abandon() { abandoned_ = true; }

 private:
  Status step(engine::Engine& engine, std::uint32_t count, std::vector<float>& logits);
  Status export_blocks(engine::Engine& engine, ChunkResult& result);

  const std::vector<engine::Token> prompt_;
  const AnswerParams answer_;
  const ByteSpan memory_;
  const engine::KvLayout layout_;
  std::optional<engine::SequenceId> sequence_;
  std::uint32_t length_ = 0;    // tokens in the sequence
  std::uint32_t exported_ = 0;  // blocks in memory_ that are final
  std::atomic<bool> abandoned_ = false;
};

}  // namespace mooncake::serve
