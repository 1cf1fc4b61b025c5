#include "serve/gateway/answer.h"

#include "base/check.h"

namespace mooncake::serve {

Answer::Answer(std::shared_ptr<net::HttpExchange> exchange, openai::ResponseHead head,
               const openai::GenerateRequest& request, const engine::Tokenizer& tokenizer)
    : exchange_(std::move(exchange)), head_(std::move(head)), stream_(request.stream), tokenizer_(tokenizer) {
  for (std::uint32_t i = 0; i < request.choices; ++i) {
    choices_.push_back({.joiner = {}, .matcher = openai::StopMatcher(request.stops), .text = {}, .finish = {}});
  }
}

void Answer::start(net::HttpHeaders headers) {
  CHECK(!started_);
  started_ = true;
  headers_ = std::move(headers);
  if (!stream_) return;
  headers_.emplace_back("content-type", "text/event-stream; charset=utf-8");
  headers_.emplace_back("cache-control", "no-cache");
  exchange_->start_stream(200, std::move(headers_));
}

Status Answer::show(std::uint32_t choice, engine::Token token) {
  CHECK(started_);
  Utf8Joiner& joiner = choices_[choice].joiner;
  return add(choice, choices_[choice].matcher.push(joiner.push(tokenizer_.piece(token))));
}

Status Answer::finish(std::uint32_t choice, AnswerEnd end) {
  CHECK(started_);
  Choice& state = choices_[choice];
  std::string rest = state.matcher.push(state.joiner.finish());
  rest += state.matcher.finish();
  state.finish = end == AnswerEnd::kLength && !state.matcher.stopped() ? "length" : "stop";
  MC_RETURN_IF_ERROR(add(choice, rest));
  return stream_ ? exchange_->write(openai::finish_event(head_, choice, state.finish)) : Status();
}

Status Answer::add(std::uint32_t index, std::string_view text) {
  Choice& choice = choices_[index];
  if (!stream_) {
    choice.text += text;
    return {};
  }
  std::string events;
  // The role goes out with the first token even if that shows no text yet: it is what a client's TTFT is measured by.
  if (!choice.role_sent && head_.api == openai::Api::kChat) events = openai::role_event(head_, index);
  choice.role_sent = true;
  if (!text.empty()) events += openai::content_event(head_, index, text);
  return events.empty() ? Status() : exchange_->write(std::move(events));
}

void Answer::end(const openai::Usage& usage) {
  CHECK(started_);
  if (!stream_) {
    std::vector<openai::ChoiceResult> results;
    for (std::uint32_t i = 0; i < choices_.size(); ++i) {
      results.push_back({.index = i, .text = std::move(choices_[i].text), .finish = choices_[i].finish});
    }
    headers_.emplace_back("content-type", "application/json");
    return exchange_->respond(200, std::move(headers_), openai::whole_response(head_, results, usage));
  }
  std::string events = head_.include_usage ? openai::usage_event(head_, usage) : std::string();
  events += openai::done_event();
  // A client that has stopped reading now has every token: nothing is lost by finishing anyway.
  const Status written = exchange_->write(std::move(events));
  if (written.ok()) exchange_->finish();
}

void Answer::fail(const openai::ApiError& error) {
  if (!started_ || !stream_) {
    net::HttpHeaders headers = openai::error_headers(error);
    headers.emplace_back("x-request-id", head_.id);
    return exchange_->respond(error.http_status, std::move(headers), openai::error_body(error));
  }
  const Status written = exchange_->write(openai::error_event(error));
  if (written.ok()) exchange_->finish();
}

}  // namespace mooncake::serve
