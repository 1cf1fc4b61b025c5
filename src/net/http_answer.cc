#include "net/http_answer.h"

#include <fmt/core.h>

#include <utility>

#include "base/check.h"
#include "net/http_format.h"

namespace mooncake::net {

HttpAnswer::HttpAnswer(HttpAnswerRules rules, std::function<void()> wake) : rules_(rules), wake_(std::move(wake)) {}

void HttpAnswer::respond(std::uint32_t status, const HttpHeaders& headers, std::string_view body) {
  std::function<void()> dropped;  // destroyed after the lock is released: its captures may call us
  const MutexLock lock(mutex_);
  if (gone_) return;
  CHECK(phase_ == Phase::kUnanswered);
  outbox_ = http_response_head(status, headers, {.content_length = body.size(), .keep_alive = rules_.keep_alive});
  if (!rules_.head_only) outbox_.append(body);
  dropped.swap(gone_callback_);
  complete();
}

void HttpAnswer::start_stream(std::uint32_t status, const HttpHeaders& headers) {
  const MutexLock lock(mutex_);
  if (gone_) return;
  CHECK(phase_ == Phase::kUnanswered);
  outbox_ = http_response_head(status, headers, {.chunked = rules_.http11, .keep_alive = rules_.keep_alive});
  phase_ = Phase::kStreaming;
  wake_connection();
}

Status HttpAnswer::write(std::string_view piece) {
  const MutexLock lock(mutex_);
  if (gone_) return {Code::kCancelled, "the client closed the connection"};
  CHECK(phase_ == Phase::kStreaming);
  if (piece.empty() || rules_.head_only) return {};
  if (const std::size_t backlog = outbox_.size() + unsent_; backlog >= rules_.backlog_max) {
    return {Code::kExhausted, fmt::format("the client has left {} bytes of its stream unread", backlog)};
  }
  if (rules_.http11) {
    append_http_chunk(outbox_, piece);
  } else {
    outbox_.append(piece);
  }
  wake_connection();
  return {};
}

void HttpAnswer::finish() {
  std::function<void()> dropped;
  const MutexLock lock(mutex_);
  if (gone_) return;
  CHECK(phase_ == Phase::kStreaming);
  if (rules_.http11 && !rules_.head_only) outbox_.append(kHttpLastChunk);
  dropped.swap(gone_callback_);
  complete();
}

void HttpAnswer::on_client_gone(std::function<void()> gone) {
  {
    const MutexLock lock(mutex_);
    if (phase_ == Phase::kComplete) return;
    if (!gone_) {
      gone_callback_.swap(gone);
      return;
    }
  }
  gone();
}

void HttpAnswer::abandon() {
  std::function<void()> dropped;
  bool unanswered = false;
  {
    const MutexLock lock(mutex_);
    if (gone_ || phase_ == Phase::kComplete) return;
    unanswered = phase_ == Phase::kUnanswered;
    if (!unanswered) {
      broken_ = true;
      dropped.swap(gone_callback_);
      complete();
    }
  }
  if (!unanswered) return;
  respond(500, {{"Content-Type", "application/json"}},
          http_error_body("the request was dropped inside the server", "server_error", "internal_error"));
}

HttpAnswer::Taken HttpAnswer::take() {
  const MutexLock lock(mutex_);
  woken_ = false;
  Taken taken{.complete = phase_ == Phase::kComplete, .broken = broken_};
  taken.bytes.swap(outbox_);
  unsent_ = taken.bytes.size();
  return taken;
}

void HttpAnswer::set_unsent(std::size_t bytes) {
  const MutexLock lock(mutex_);
  unsent_ = bytes;
}

void HttpAnswer::client_gone() {
  std::function<void()> callback;
  {
    const MutexLock lock(mutex_);
    gone_ = true;
    wake_ = nullptr;
    outbox_ = {};
    callback.swap(gone_callback_);
  }
  if (callback) callback();
}

void HttpAnswer::detach() {
  const MutexLock lock(mutex_);
  wake_ = nullptr;
}

void HttpAnswer::wake_connection() {
  if (woken_ || !wake_) return;
  woken_ = true;
  wake_();
}

void HttpAnswer::complete() {
  phase_ = Phase::kComplete;
  wake_connection();
}

}  // namespace mooncake::net
