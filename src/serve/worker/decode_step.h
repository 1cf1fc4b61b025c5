// DecodeStep: one step of a decode batch as the engine thread sees it: tokens in, tokens out, completed blocks
// exported.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/bytes.h"
#include "base/status.h"
#include "base/time.h"
#include "conductor/conductor.h"
#include "engine/engine.h"
#include "serve/worker/arena.h"
#include "serve/worker/protocol.h"

namespace mooncake::serve {

struct DecodeStep {
  struct Item {
    conductor::RequestNumber number{};
    engine::SequenceId sequence;
    std::uint32_t position = 0;
    engine::Token token = 0;
    bool want_logits = false;
    AnswerParams answer;
    std::uint32_t answer_index = 0;             ///< of the token to choose
    std::optional<std::uint32_t> export_block;  ///< complete after this step
    Arena::LeasePointer export_target{};        ///< null: there is no buffer, the block is not published

    // Filled by run().
    Status status{};
    engine::Token chosen = 0;  ///< with want_logits
    Status exported{};
    std::uint32_t export_crc32c = 0;
  };
  std::vector<Item> items;
  Nanos took{};

  /// On the engine thread.
  void run(engine::Engine& engine);
};

}  // namespace mooncake::serve
