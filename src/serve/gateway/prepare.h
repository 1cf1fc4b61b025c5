// prepare: everything about a request that needs no knowledge of the cluster: parse, apply the chat format, tokenize,
// fit into the context, hash the blocks. Takes milliseconds of CPU for a long prompt, so it runs on the HTTP threads.
//
// Pure, thread-safe.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/key128.h"
#include "engine/engine.h"
#include "serve/gateway/tenants.h"
#include "serve/openai/request.h"

namespace mooncake::serve {

/// A request of which only the placement is open.
struct PreparedRequest {
  openai::GenerateRequest request{};  ///< without the prompt, which is in `prompt`
  std::vector<engine::Token> prompt{};
  std::vector<Key128> block_keys{};  ///< of its full blocks
  std::uint32_t tokens_max = 1;      ///< of the answer, cut to the context
  ServedTenant tenant{};
};

/// Reads `body`, which came for `tenant`, for the model `front`. @return what is wrong with it, for the client.
std::optional<openai::ApiError> prepare(openai::Api api, std::string_view body, const engine::ModelFront& front,
                                        const ServedTenant& tenant, PreparedRequest& out);

}  // namespace mooncake::serve
