// ActiveRequest: a request between its arrival at the loop and the last byte of its answer, with the state of each of
// its choices. Data only; the Dispatcher drives it.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/executor.h"
#include "base/time.h"
#include "net/http_server.h"
#include "serve/gateway/answer.h"
#include "serve/gateway/decision_log.h"
#include "serve/gateway/generation.h"
#include "serve/gateway/load_board.h"
#include "serve/gateway/placer.h"
#include "serve/gateway/prepare.h"

namespace mooncake::serve {

/// A prepared request on its way from an HTTP thread to the loop.
struct Arrival {
  std::string id;  ///< "chatcmpl-..." or "cmpl-..."
  PreparedRequest prepared;
  std::string place_prefill;                    ///< empty: anywhere
  std::shared_ptr<net::HttpExchange> exchange;  // shared with the HTTP connection
  InFlight in_flight;
  std::int64_t created_s = 0;  ///< Unix time
  Nanos prepare_took{};
};

struct Choice {
  explicit Choice(std::uint32_t tokens_max) : generation(tokens_max) {}

  Generation generation;
  Placed place;            ///< of the current attempt
  std::string attempt_id;  ///< on the wire; empty between attempts
  TimerId timer{};         ///< of the next decision, or of the end of waiting for a worker
  bool waiting = false;    ///< for a worker to come up
  bool begun = false;
  Instant last_token{};
  std::vector<Nanos> gaps;  ///< between its tokens, as many as its answer is long
};

struct ActiveRequest {
  ActiveRequest(Arrival arrival, openai::ResponseHead head, const engine::Tokenizer& tokenizer)
      : id(std::move(arrival.id)),
        prepared(std::move(arrival.prepared)),
        place_prefill(std::move(arrival.place_prefill)),
        in_flight(std::move(arrival.in_flight)),
        prepare_took(arrival.prepare_took),
        received(arrival.exchange->request().received),
        exchange(std::move(arrival.exchange)),
        answer(exchange, std::move(head), prepared.request, tokenizer) {
    choices.reserve(prepared.request.choices);
    for (std::uint32_t i = 0; i < prepared.request.choices; ++i) choices.emplace_back(prepared.tokens_max);
  }

  const std::string id;
  const PreparedRequest prepared;
  const std::string place_prefill;
  const InFlight in_flight;
  const Nanos prepare_took;
  const Instant received;
  const std::shared_ptr<net::HttpExchange> exchange;  // shared with the HTTP connection
  Answer answer;
  std::vector<Choice> choices;
  std::shared_ptr<RequestRecord> record;  // shared with the decision log
  Deadline deadline{};
  TimerId deadline_timer{};
  std::uint64_t seed = 0;
  std::uint32_t cached_tokens = 0;
  std::uint32_t choices_ended = 0;
  bool first_submitted = false;
  bool closed = false;                      ///< the client got its whole answer or an error, or is gone
  std::optional<openai::ApiError> refusal;  ///< why no place was found, in the client's terms
};

}  // namespace mooncake::serve
