// HttpServer: HTTP/1.1 with streaming answers, by Boost.Beast. The only place that knows Beast on the server side.
//
// Threads: the server owns its I/O threads. The handler is called on one of them and may answer later, from any thread,
// through the HttpExchange it was given.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "base/time.h"

namespace mooncake::net {

/// Header names are lower case. The target is split at '?'.
struct HttpRequest {
  std::string method;
  std::string path;
  std::string query;
  std::map<std::string, std::string, std::less<>> headers;
  std::string body;
  std::string remote_address;  ///< "127.0.0.1:54321"
  bool remote_is_loopback = false;
  Instant received{};  ///< when the header's first byte was parsed

  /// The header's value, or an empty view. `name` in lower case.
  [[nodiscard]] std::string_view header(std::string_view name) const;
};

using HttpHeaders = std::vector<std::pair<std::string, std::string>>;

/// One request and its answer. All members may be called from any thread. Destroyed unanswered, it answers 500;
/// destroyed mid-stream, it closes the connection without the terminating chunk, so the client sees that the stream
/// broke.
class HttpExchange {
 public:
  virtual ~HttpExchange() = default;
  [[nodiscard]] virtual const HttpRequest& request() const = 0;

  /// Sends a whole answer. Content-Length is set here. Once, and not after start_stream().
  virtual void respond(std::uint32_t status, HttpHeaders headers, std::string body) = 0;

  /// Starts a chunked answer ("text/event-stream" is what SSE callers put in headers).
  virtual void start_stream(std::uint32_t status, HttpHeaders headers) = 0;
  /// Appends to the stream; an empty chunk is nothing. @return kCancelled if the client is gone, kExhausted if it has
  /// left HttpServerConfig::stream_backlog_bytes_max unread (a slow client: the caller should give up on it).
  virtual Status write(std::string chunk) = 0;
  /// Ends the stream properly.
  virtual void finish() = 0;

  /// `gone` runs once, on an I/O thread, if the client disconnects before the answer is complete. At
  /// once, on the calling thread, if it has.
  virtual void on_client_gone(std::function<void()> gone) = 0;
};

using HttpHandler = std::function<void(std::shared_ptr<HttpExchange> exchange)>;

struct HttpServerConfig {
  std::string listen = "127.0.0.1:0";  ///< loopback only
  std::uint32_t io_threads = 1;
  std::size_t header_bytes_max = 64 << 10;  ///< beyond it 431; what common proxies allow
  std::size_t body_bytes_max = 16u << 20;   ///< beyond it 413; a 128k-token prompt is about 0.5 MiB
  Nanos read_timeout =
      Seconds(30);  ///< to receive one whole request; then 408. Idle keep-alive connections get as long
  Nanos write_timeout = Seconds(30);  ///< without progress on an answer; then the client counts as gone
  std::size_t stream_backlog_bytes_max = 1u << 20;
  std::uint32_t connections_max = 12'000;  ///< beyond it connections are refused
};

class HttpServer {
 public:
  /// Binds and starts. @return kUnavailable with the reason when the address cannot be bound ("port 8080 is in use
  /// ...").
  static Result<std::unique_ptr<HttpServer>> create(HttpServerConfig config, HttpHandler handler);
  /// Closes every connection and joins the threads.
  virtual ~HttpServer() = default;
  /// "127.0.0.1:8080", with the real port.
  [[nodiscard]] virtual const std::string& endpoint() const = 0;
  /// Stops accepting; open exchanges go on.
  virtual void stop_accepting() = 0;
};

}  // namespace mooncake::net
