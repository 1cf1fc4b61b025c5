// Answer: turns the tokens of one request's choices into the HTTP answer: text cut at characters and before stop
// strings, as server-sent events or as one JSON object.
//
// Thread-compatible: belongs to the gateway's loop.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "base/utf8.h"
#include "engine/tokenizer.h"
#include "net/http_server.h"
#include "serve/gateway/generation.h"
#include "serve/openai/request.h"
#include "serve/openai/response.h"
#include "serve/openai/stop_matcher.h"

namespace mooncake::serve {

class Answer {
 public:
  /// `tokenizer` must outlive it. `request` says how many choices, whether to stream, and the stop strings.
  Answer(std::shared_ptr<net::HttpExchange> exchange, openai::ResponseHead head, const openai::GenerateRequest& request,
         const engine::Tokenizer& tokenizer);

  /// Before the first token: the headers of a success. A stream's go out now.
  void start(net::HttpHeaders headers);
  [[nodiscard]] bool started() const { return started_; }

  /// One more token of `choice`. @return kCancelled or kExhausted if the client does not take it any more.
  Status show(std::uint32_t choice, engine::Token token);
  /// True once the text of `choice` has come to a stop string; the caller ends the choice then.
  [[nodiscard]] bool stopped(std::uint32_t choice) const { return choices_[choice].matcher.stopped(); }
  /// No more tokens come for `choice`.
  Status finish(std::uint32_t choice, AnswerEnd end);
  /// Every choice is finished: sends what is left.
  void end(const openai::Usage& usage);
  /// Instead of end(): an error status, or an error event where the stream has begun already.
  void fail(const openai::ApiError& error);

 private:
  struct Choice {
    Utf8Joiner joiner;
    openai::StopMatcher matcher;
    std::string text;  // plain answers only
    std::string_view finish;
    bool role_sent = false;
  };

  Status add(std::uint32_t index, std::string_view text);

  const std::shared_ptr<net::HttpExchange> exchange_;  // shared with the HTTP connection
  const openai::ResponseHead head_;
  const bool stream_;
  const engine::Tokenizer& tokenizer_;
  std::vector<Choice> choices_;
  net::HttpHeaders headers_;
  bool started_ = false;
};

}  // namespace mooncake::serve
