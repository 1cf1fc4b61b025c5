// HttpAnswer: the answer to one request, on its way from the handler's threads to the connection's I/O thread.
//
// Handlers append bytes under a lock and wake the connection; the connection takes what has gathered when its socket
// has room. So a slow client costs one bounded buffer, and many small writes become one packet. After `client_gone` or
// `detach` the connection is never touched again: exchanges may outlive it, and the server.
//
// Thread-safe.
#pragma once

#include <functional>
#include <string>

#include "base/mutex.h"
#include "net/http_server.h"

namespace mooncake::net {

/// What the request's version, method and headers ask of the answer.
struct HttpAnswerRules {
  bool http11 = true;           ///< false: HTTP/1.0, which has no chunked coding
  bool keep_alive = true;       ///< the connection stays open after the answer
  bool head_only = false;       ///< HEAD: the headers of the answer, and no body
  std::size_t backlog_max = 0;  ///< bytes of a stream that may wait for the client
};

class HttpAnswer {
 public:
  /// `wake` makes the connection call take() soon, on its I/O thread. Called under the lock: it may post and no more.
  HttpAnswer(HttpAnswerRules rules, std::function<void()> wake);

  // The handler's side: see HttpExchange.
  void respond(std::uint32_t status, const HttpHeaders& headers, std::string_view body) EXCLUDES(mutex_);
  void start_stream(std::uint32_t status, const HttpHeaders& headers) EXCLUDES(mutex_);
  Status write(std::string_view piece) EXCLUDES(mutex_);
  void finish() EXCLUDES(mutex_);
  void on_client_gone(std::function<void()> gone) EXCLUDES(mutex_);
  /// The handler dropped its exchange. Unless the answer is complete: 500, or a broken stream.
  void abandon() EXCLUDES(mutex_);

  // The connection's side, on its I/O thread.
  struct Taken {
    std::string bytes = {};
    bool complete = false;  ///< nothing comes after `bytes`
    bool broken = false;    ///< complete, and cut off: the connection must close at once
  };
  /// What has gathered since the last call. The bytes of the call before it count as sent.
  Taken take() EXCLUDES(mutex_);
  /// Of the bytes taken last, this many are still unsent.
  void set_unsent(std::size_t bytes) EXCLUDES(mutex_);
  /// The client disconnected: runs the callback, unless the answer is complete.
  void client_gone() EXCLUDES(mutex_);
  /// The connection is done with this answer.
  void detach() EXCLUDES(mutex_);

  [[nodiscard]] const HttpAnswerRules& rules() const { return rules_; }

 private:
  enum class Phase : std::uint8_t { kUnanswered, kStreaming, kComplete };

  void wake_connection() REQUIRES(mutex_);
  void complete() REQUIRES(mutex_);

  const HttpAnswerRules rules_;

  Mutex mutex_;
  std::function<void()> wake_ GUARDED_BY(mutex_);  ///< empty once the connection must not be touched
  std::function<void()> gone_callback_ GUARDED_BY(mutex_);
  Phase phase_ GUARDED_BY(mutex_) = Phase::kUnanswered;
  bool gone_ GUARDED_BY(mutex_) = false;
  bool broken_ GUARDED_BY(mutex_) = false;
  bool woken_ GUARDED_BY(mutex_) = false;  ///< a wake is under way; one is enough
  std::string outbox_ GUARDED_BY(mutex_);
  std::size_t unsent_ GUARDED_BY(mutex_) = 0;  ///< taken, and not yet with the kernel
};

}  // namespace mooncake::net
