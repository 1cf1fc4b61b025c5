// Block keys: which KVCache blocks are equal. The key of block i hashes the key of block i - 1, so it names the whole
// prefix up to and including that block: two prompts share KVCache exactly as far as their keys agree.
//
// key = first 128 bits of SHA-256 over tagged, length-prefixed fields: parent key, tokens, model fingerprint, LoRA
// name, tenant salt. Drawn byte by byte in block_key.cc. Source: docs/conductor.md, prefix index.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/key128.h"

namespace mooncake::kvcache {

using BlockKey = Key128;

/// What besides the tokens decides whether two blocks are the same.
struct KeyScope {
  Key128 model;        ///< engine::KvLayout::model
  std::string lora;    ///< adapter name; empty: none
  std::string tenant;  ///< salt: tenants do not share unless it is equal
};

/// The key of the block that follows `parent` (BlockKey{} for the first) and holds `tokens`.
BlockKey next_block_key(const KeyScope& scope, const BlockKey& parent, std::span<const std::int32_t> tokens);

/// Keys of all full blocks of `tokens`, tokens.size() / block_tokens of them. O(tokens), about 1 us a block.
std::vector<BlockKey> block_keys(const KeyScope& scope, std::span<const std::int32_t> tokens,
                                 std::uint32_t block_tokens);

}  // namespace mooncake::kvcache
