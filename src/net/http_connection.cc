#include "net/http_connection.h"

#include <fmt/core.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <boost/beast/core/error.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <utility>

#include "net/http_format.h"

namespace mooncake::net {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using boost::system::error_code;

/// How long a client whose connection we end may take to read our last answer and hang up. Closing at once would make
/// the kernel reset the connection while the client still sends, and the reset would overtake the answer.
constexpr Seconds kLinger{2};
/// Buffers larger than this go back to the allocator between messages.
constexpr std::size_t kBufferKeptMax = 4096;

std::string_view view(boost::beast::string_view text) { return {text.data(), text.size()}; }

std::string lower_case(std::string_view text) {
  std::string lower(text);
  std::ranges::transform(lower, lower.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? char(c - 'A' + 'a') : c; });
  return lower;
}

void release_if_large(std::string& buffer) {
  if (buffer.empty() && buffer.capacity() > kBufferKeptMax) std::string().swap(buffer);
}

/// The handler's end of an answer.
class Exchange final : public HttpExchange {
 public:
  Exchange(HttpRequest request, std::shared_ptr<HttpAnswer> answer)
      : request_(std::move(request)), answer_(std::move(answer)) {}
  ~Exchange() override { answer_->abandon(); }

  [[nodiscard]] const HttpRequest& request() const override { return request_; }
  void respond(std::uint32_t status, HttpHeaders headers, std::string body) override {
    answer_->respond(status, headers, body);
  }
  void start_stream(std::uint32_t status, HttpHeaders headers) override { answer_->start_stream(status, headers); }
  Status write(std::string chunk) override { return answer_->write(chunk); }
  void finish() override { answer_->finish(); }
  void on_client_gone(std::function<void()> gone) override { answer_->on_client_gone(std::move(gone)); }

 private:
  const HttpRequest request_;
  const std::shared_ptr<HttpAnswer> answer_;  // shared with the connection, which may end before us
};

}  // namespace

struct HttpConnection::Parser {
  http::request_parser<http::string_body> http;
  Instant received;
  bool continue_sent = false;
};

void HttpConnection::open(HttpIo& io, Socket socket) {
  error_code ignored;  // a socket that has failed already fails again at the first read
  socket.non_blocking(true, ignored);
  socket.set_option(asio::ip::tcp::no_delay(true), ignored);  // a token must not wait for the one after it
  const std::shared_ptr<HttpConnection> connection(new HttpConnection(io, std::move(socket)));
  io.connections.insert(connection);
  connection->wait_readable();
}

HttpConnection::HttpConnection(HttpIo& io, Socket socket)
    : io_(io), socket_(std::move(socket)), deadline_(io.clock.now() + io.config.read_timeout) {
  ++io_.open_count;
}

HttpConnection::~HttpConnection() { --io_.open_count; }

void HttpConnection::close() {
  if (state_ == State::kClosed) return;
  state_ = State::kClosed;
  error_code ignored;
  socket_.close(ignored);
  if (answer_) std::exchange(answer_, nullptr)->client_gone();
  io_.connections.erase(shared_from_this());
}

void HttpConnection::check_deadline(Instant now) {
  if (now < deadline_) return;
  if (state_ == State::kReading && (parser_ || !pending_.empty())) {
    reject(408, "request_timeout",
           fmt::format("the request was not complete within {:.0f} s", to_ms(io_.config.read_timeout) / 1000));
  } else {
    close();
  }
}

void HttpConnection::wait_readable() {
  if (reading_ || state_ == State::kClosed) return;
  reading_ = true;
  socket_.async_wait(Socket::wait_read, [self = shared_from_this()](const error_code& error) {
    self->reading_ = false;
    if (self->state_ == State::kClosed) return;
    error ? self->close() : self->read();
  });
}

void HttpConnection::read() {
  error_code error;
  const std::size_t size = socket_.read_some(asio::buffer(io_.scratch), error);
  if (error == asio::error::would_block || error == asio::error::interrupted) return wait_readable();
  if (error) return close();  // also end of file: nobody half-closes and waits, so the client is gone
  if (state_ == State::kLingering) return wait_readable();
  pending_.append(io_.scratch.data(), size);
  if (state_ == State::kReading) parse();
  // While answering, no more is taken in than one header's worth; a client that pipelines more waits for its turn.
  if (state_ != State::kAnswering || pending_.size() < io_.config.header_bytes_max) wait_readable();
}

// Feeds what is pending to the parser until a request is complete, or more is needed.
void HttpConnection::parse() {
  bool progress = true;
  while (progress && state_ == State::kReading && !pending_.empty()) feed(progress);
  release_if_large(pending_);
}

void HttpConnection::feed(bool& progress) {
  if (!parser_) {
    parser_ = std::make_unique<Parser>();
    parser_->received = io_.clock.now();
    parser_->http.header_limit(static_cast<std::uint32_t>(io_.config.header_bytes_max));
    parser_->http.body_limit(io_.config.body_bytes_max);
    parser_->http.eager(true);
    deadline_ = parser_->received + io_.config.read_timeout;
  }
  error_code error;
  const std::size_t used = parser_->http.put(asio::const_buffer(pending_.data(), pending_.size()), error);
  pending_.erase(0, used);
  progress = used > 0;
  if (error == http::error::header_limit || (error == http::error::need_more && !parser_->http.is_header_done() &&
                                             pending_.size() >= io_.config.header_bytes_max)) {
    return reject(431, "headers_too_large",
                  fmt::format("the request's headers exceed {} bytes", io_.config.header_bytes_max));
  }
  if (error == http::error::body_limit) {
    return reject(413, "body_too_large", fmt::format("the request's body exceeds {} bytes", io_.config.body_bytes_max));
  }
  // Beyond a body's limit nothing can be unparsed but the header of a chunk, which has no business to be this long.
  const bool endless_chunk = error == http::error::need_more && pending_.size() >= io_.config.header_bytes_max;
  if (endless_chunk || (error && error != http::error::need_more)) {
    return reject(400, "bad_http", fmt::format("this is not a valid HTTP/1.1 request: {}", error.message()));
  }
  if (parser_->http.is_done()) return dispatch();
  if (parser_->http.is_header_done() && !parser_->continue_sent &&
      lower_case(view(parser_->http.get()[http::field::expect])) == "100-continue") {
    parser_->continue_sent = true;
    out_.append("HTTP/1.1 100 Continue\r\n\r\n");
    flush();
  }
}

void HttpConnection::dispatch() {
  const std::unique_ptr<Parser> parser = std::move(parser_);
  http::request<http::string_body>& message = parser->http.get();
  if (message.version() != 10 && message.version() != 11) {
    return reject(505, "bad_http_version", "this server speaks HTTP/1.1 and HTTP/1.0");
  }
  HttpRequest request;
  request.method = view(message.method_string());
  const std::string_view target = view(message.target());
  const std::size_t question = std::min(target.find('?'), target.size());
  request.path = target.substr(0, question);
  if (question < target.size()) request.query = target.substr(question + 1);
  for (const auto& field : message) {
    std::string& value = request.headers[lower_case(view(field.name_string()))];
    if (!value.empty()) value.append(", ");  // RFC 9110 section 5.2: repeated fields are one list
    value.append(view(field.value()));
  }
  request.body = std::move(message.body());
  error_code ignored;
  const auto remote = socket_.remote_endpoint(ignored);
  request.remote_address = fmt::format("{}:{}", remote.address().to_string(), remote.port());
  request.remote_is_loopback = remote.address().is_loopback();
  request.received = parser->received;

  const HttpAnswerRules rules{.http11 = message.version() == 11,
                              .keep_alive = message.keep_alive(),
                              .head_only = message.method() == http::verb::head,
                              .backlog_max = io_.config.stream_backlog_bytes_max};
  auto wake = [this, weak = weak_from_this()] {
    asio::post(io_.context, [weak] {
      if (const auto self = weak.lock(); self && self->state_ == State::kAnswering && !self->writing_) self->flush();
    });
  };
  answer_ = std::make_shared<HttpAnswer>(rules, std::move(wake));
  state_ = State::kAnswering;
  complete_ = false;
  deadline_ = kNever;
  io_.handler(std::make_shared<Exchange>(std::move(request), answer_));
}

// Answers a request that never reached the handler, and ends the connection: what follows cannot be trusted to be HTTP.
void HttpConnection::reject(std::uint32_t status, std::string_view code, std::string_view message) {
  parser_.reset();
  std::string().swap(pending_);
  const std::string body = http_error_body(message, "invalid_request_error", code);
  out_.append(http_response_head(status, {{"Content-Type", "application/json"}},
                                 {.content_length = body.size(), .keep_alive = false}));
  out_.append(body);
  state_ = State::kLingering;
  deadline_ = io_.clock.now() + kLinger;
  flush();
}

// Sends until everything is sent or the socket is full.
void HttpConnection::flush() {
  bool progress = false;
  while (sent_ < out_.size() || refill()) {
    error_code error;
    const std::size_t size = socket_.write_some(asio::buffer(out_.data() + sent_, out_.size() - sent_), error);
    if (error == asio::error::would_block || error == asio::error::interrupted) {
      if (answer_) answer_->set_unsent(out_.size() - sent_);
      if (state_ == State::kAnswering && (progress || deadline_ == kNever)) {
        deadline_ = io_.clock.now() + io_.config.write_timeout;
      }
      return wait_writable();
    }
    if (error) return close();
    sent_ += size;
    progress = true;
  }
}

// Called when everything has been sent: fetches the next bytes of the answer, or ends it. @return true if there is
// more.
bool HttpConnection::refill() {
  out_.clear();
  sent_ = 0;
  release_if_large(out_);
  if (state_ == State::kLingering) {
    linger();
    return false;
  }
  if (state_ != State::kAnswering) return false;
  deadline_ = kNever;
  if (!complete_) {
    HttpAnswer::Taken taken = answer_->take();
    out_ = std::move(taken.bytes);
    complete_ = taken.complete;
    broken_ = taken.broken;
    if (!out_.empty()) return true;
  }
  if (complete_) answer_complete();
  return false;
}

void HttpConnection::wait_writable() {
  if (writing_) return;
  writing_ = true;
  socket_.async_wait(Socket::wait_write, [self = shared_from_this()](const error_code& error) {
    self->writing_ = false;
    if (self->state_ == State::kClosed) return;
    error ? self->close() : self->flush();
  });
}

void HttpConnection::answer_complete() {
  const std::shared_ptr<HttpAnswer> answer = std::exchange(answer_, nullptr);
  answer->detach();
  const HttpAnswerRules& rules = answer->rules();
  if (broken_) {
    error_code ignored;
    // HTTP/1.0 takes an orderly close for the end of the answer; a reset it cannot mistake.
    if (!rules.http11) socket_.set_option(asio::socket_base::linger(true, 0), ignored);
    return close();
  }
  if (!rules.keep_alive) {
    state_ = State::kLingering;
    return linger();
  }
  state_ = State::kReading;
  deadline_ = io_.clock.now() + io_.config.read_timeout;
  // Pipelined requests are parsed from the queue, not from here: a thousand of them must not nest.
  if (!pending_.empty()) {
    asio::post(io_.context, [self = shared_from_this()] {
      if (self->state_ == State::kReading) self->parse();
      self->wait_readable();
    });
  }
}

void HttpConnection::linger() {
  error_code ignored;
  socket_.shutdown(Socket::shutdown_send, ignored);
  deadline_ = io_.clock.now() + kLinger;
  wait_readable();
}

}  // namespace mooncake::net
